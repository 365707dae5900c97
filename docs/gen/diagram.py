"""The picture of how a song flows through songsplit, as SVG."""

from __future__ import annotations

from html import escape

_WIDTH, _HEIGHT, _GAP = 150, 58, 36
_MARGIN = 20
_COLOURS = {
    "file": "#fff3e0",
    "audio": "#e3f2fd",
    "dsp": "#e8f5e9",
    "models": "#ede7f6",
    "sum": "#fce4ec",
}

# name: column, row, kind, first line, second line
_BOXES = {
    "song": (0, 0, "file", "song", "any format"),
    "reader": (1, 0, "audio", "decode", "block by block"),
    "down": (2, 0, "audio", "resample", "to 44.1 kHz"),
    "chunks": (3, 0, "dsp", "chunks", "that overlap"),
    "stft": (4, 0, "dsp", "STFT", "spectrogram"),
    "network": (4, 1, "models", "U-Net", "from magnitudes"),
    "mask": (3, 1, "dsp", "mask \u00d7 spectrogram", "keeps the phase"),
    "istft": (2, 1, "dsp", "inverse STFT", "cross-fade of chunks"),
    "up": (1, 1, "audio", "resample", "to the song's rate"),
    "vocals": (0, 1, "file", "vocals", ""),
    "less": (1, 2, "sum", "song \u2212 vocals", "at the song's rate"),
    "instrumental": (0, 2, "file", "instrumental", ""),
}
# from, side of it, to, side of it
_ARROWS = (
    ("song", "right", "reader", "left"),
    ("reader", "right", "down", "left"),
    ("down", "right", "chunks", "left"),
    ("chunks", "right", "stft", "left"),
    ("stft", "bottom", "network", "top"),
    ("network", "left", "mask", "right"),
    ("mask", "left", "istft", "right"),
    ("istft", "left", "up", "right"),
    ("up", "left", "vocals", "right"),
    ("up", "bottom", "less", "top"),
    ("less", "left", "instrumental", "right"),
)
_LEGEND = {
    "file": "files",
    "audio": "songsplit.audio",
    "dsp": "songsplit.dsp",
    "models": "songsplit.models",
    "sum": "songsplit.inference",
}
_DESCRIPTION = (
    "A song is decoded block by block, resampled to 44.1 kHz and cut into chunks that overlap. "
    "Each becomes a spectrogram, from whose magnitudes a U-Net predicts a mask. The mask times "
    "the spectrogram goes through the inverse transform, chunks are cross-faded, and the result "
    "is resampled to the song's rate: the vocals. The song less the vocals is the instrumental."
)


def _place(name: str) -> tuple[int, int]:
    column, row = _BOXES[name][:2]
    return _MARGIN + column * (_WIDTH + _GAP), _MARGIN + row * (_HEIGHT + _GAP)


def _point(name: str, side: str) -> tuple[int, int]:
    left, top = _place(name)
    across = {"left": 0, "right": _WIDTH}.get(side, _WIDTH // 2)
    down = {"top": 0, "bottom": _HEIGHT}.get(side, _HEIGHT // 2)
    return left + across, top + down


def draw() -> str:
    """Return the picture."""
    width = 2 * _MARGIN + 5 * _WIDTH + 4 * _GAP
    height = 2 * _MARGIN + 3 * _HEIGHT + 2 * _GAP
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img'>",
        "<title>How a song becomes vocals and instrumental</title>",
        f"<desc>{escape(_DESCRIPTION)}</desc>",
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='8' refY='4' markerWidth='7' "
        "markerHeight='7' orient='auto'><path d='M0 0 8 4 0 8z' fill='#455a64'/></marker></defs>",
        f"<rect width='{width}' height='{height}' rx='10' fill='#ffffff'/>",
    ]
    # The song itself, at its own rate, on its way around the network.
    x, y = _point("reader", "bottom")
    end_x, end_y = _point("less", "right")
    turn, low = end_x + _GAP // 2, y + _GAP // 2
    lines.append(_arrow(f"M{x} {y}V{low}H{turn}V{end_y}H{end_x}", dashed=True))
    for start, out, end, into in _ARROWS:
        (x, y), (end_x, end_y) = _point(start, out), _point(end, into)
        lines.append(_arrow(f"M{x} {y}L{end_x} {end_y}"))
    for name, (_, _, kind, first, second) in _BOXES.items():
        left, top = _place(name)
        middle = left + _WIDTH // 2
        lines.append(
            f"<rect x='{left}' y='{top}' width='{_WIDTH}' height='{_HEIGHT}' rx='8' "
            f"fill='{_COLOURS[kind]}' stroke='#455a64'/>"
        )
        down = 26 if second else 34
        lines.append(_words(middle, top + down, first, 14, "#212121"))
        if second:
            lines.append(_words(middle, top + 44, second, 11, "#455a64"))
    left, top = _point("less", "right")[0] + 2 * _GAP, _place("less")[1] + 6
    for index, (kind, text) in enumerate(_LEGEND.items()):
        x, y = left + index % 3 * (_WIDTH + 10), top + index // 3 * 26
        lines.append(
            f"<rect x='{x}' y='{y}' width='16' height='16' rx='3' fill='{_COLOURS[kind]}' "
            "stroke='#455a64'/>"
        )
        lines.append(_words(x + 24, y + 12, text, 12, "#212121", anchor="start"))
    return "\n".join([*lines, "</svg>", ""])


def _arrow(path: str, *, dashed: bool = False) -> str:
    dashes = " stroke-dasharray='5 4'" if dashed else ""
    return f"<path d='{path}' fill='none' stroke='#455a64' marker-end='url(#tip)'{dashes}/>"


def _words(x: int, y: int, text: str, size: int, colour: str, anchor: str = "middle") -> str:
    return (
        f"<text x='{x}' y='{y}' font-size='{size}' fill='{colour}' "
        f"font-family='system-ui, sans-serif' text-anchor='{anchor}'>{escape(text)}</text>"
    )
