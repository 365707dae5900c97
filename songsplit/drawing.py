"""What all pictures share: figures apart from matplotlib's global state, and legible names."""

from __future__ import annotations

import io
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any

from songsplit.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLUMN_INCHES, PAGE_INCHES = 3.5, 7.16
"""Width of one column, and of the whole page, of a paper in two columns."""

DOTS_PER_INCH = 200
POINTS = 8.0
INK, FAINT, SHADE = "#222222", "#767676", "#DDDDDD"

# M. Okabe and K. Ito's colours, which the colour-blind tell apart; grey for the mixture, the
# first of the yardsticks.
COLOURS = ("#0072B2", "#8C8C8C", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")

# Fonts with letters that matplotlib's own font lacks, as systems come with them.
OTHER_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "WenQuanYi Zen Hei",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Arial Unicode MS",
    "Symbola",
)
REPLACEMENT = "\N{WHITE SQUARE}"


def new_figure(width: float, height: float, *, extra: str = "eval") -> Figure:
    """Make an empty figure that lays itself out.

    Parameters
    ----------
    width, height : float
        Size in inches.
    extra : str, optional
        Which extra to advise if matplotlib is not installed.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", extra) from error
    return Figure(
        figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white"
    )


def png(figure: Figure) -> bytes:
    """Render a figure as PNG; equal figures give equal bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    content = io.BytesIO()
    # Without the version of matplotlib, which would make equal pictures differ.
    FigureCanvasAgg(figure).print_png(  # type: ignore[no-untyped-call]
        content, metadata={"Software": None}
    )
    return content.getvalue()


def text(**changes: Any) -> dict[str, Any]:
    """Properties of every text: one size, no formulas, whatever the user's settings are."""
    return {
        "fontsize": POINTS,
        "fontfamily": list(_fonts()),
        "color": INK,
        # Names such as "$ong" are no mathematics.
        "parse_math": False,
        "usetex": False,
    } | changes


def plain(axes: Axes) -> None:
    """Take from axes what carries no information, and make the rest thin."""
    axes.set_facecolor("white")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(linewidth=0.6, color=FAINT)
    axes.tick_params(length=3, color=FAINT, width=0.6)


def label_numbers(axis: Axis) -> None:
    """Put a few round numbers along an axis whose limits are settled."""
    from matplotlib.ticker import MaxNLocator

    low, high = limits = axis.get_view_interval()
    numbers = MaxNLocator(nbins=5, steps=[1, 2, 5, 10]).tick_values(low, high)
    shown = [number for number in numbers if low <= number <= high]
    # Not by a formatter, which asks the user's settings if TeX is to be used.
    axis.set_ticks(shown, [minus_signs(f"{number:g}") for number in shown], **text())
    axis.set_view_interval(*limits, ignore=True)


def minus_signs(number: str) -> str:
    """Write a number with minus in the place of hyphen."""
    return number.replace("-", "\N{MINUS SIGN}")


def legible(name: str, width: int) -> str:
    """Make a name fit for a picture.

    Parameters
    ----------
    name : str
        Any text.
    width : int
        Largest number of letters; wide ones, as those of Chinese, count twice.

    Returns
    -------
    str
        The name on one line, cut short with an ellipsis if need be, with a white square in the
        place of each letter that no font has.
    """
    letters: list[str] = []
    known = _known_letters()
    space = width
    name = " ".join(unicodedata.normalize("NFC", name).split())
    widths = [2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in name]
    is_cut = sum(widths) > width
    for letter, taken in zip(name, widths, strict=True):
        space -= taken
        if is_cut and space < 1:
            letters.append("\N{HORIZONTAL ELLIPSIS}")
            break
        letters.append(letter if ord(letter) in known else REPLACEMENT)
    return "".join(letters)


@cache
def _fonts() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    # Naming a font that is not installed makes matplotlib log a complaint.
    installed = set(fontManager.get_font_names())
    return ("DejaVu Sans", *(name for name in OTHER_FONTS if name in installed))


@cache
def _known_letters() -> frozenset[int]:
    """Code points of which some font has a picture."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(
        letter
        for name in _fonts()
        for letter in get_font(findfont(FontProperties(family=[name]))).get_charmap()
    )
