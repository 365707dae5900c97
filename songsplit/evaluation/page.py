"""Web pages in one file: style, tables that sort, pictures inside the file."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Literal

# CSS pixels for each pixel of a picture of 200 dots per inch: some larger than on paper.
PIXELS = 0.6
NOTHING = "\N{EN DASH}"

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --faint: #666; --line: #ccc; --paper: #fff;
  --shade: #f3f3f3; --alert: #a40000; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --faint: #a5a5a5;
  --line: #484848; --paper: #1a1a1a; --shade: #262626; --alert: #ff9a8a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0.3rem 0; color: var(--faint); }
th, td { padding: 0.2rem 0.5rem; text-align: right; vertical-align: top; }
th { font-weight: 600; }
th:first-child, table.words :is(th, td) { text-align: left; }
th[scope=row] { font-weight: 400; overflow-wrap: anywhere; min-width: 9rem; }
th[scope=rowgroup] { padding-top: 0.8rem; }
thead { border-bottom: 1px solid var(--ink); }
thead th { vertical-align: bottom; white-space: pre; }
td { white-space: nowrap; }
table.words td { white-space: normal; overflow-wrap: anywhere; }
tbody tr:nth-child(even) { background: var(--shade); }
th button { all: unset; cursor: pointer; text-decoration: underline dotted; }
th button:focus-visible { outline: 2px solid; }
[aria-sort=ascending] button::after { content: " \\2191"; }
[aria-sort=descending] button::after { content: " \\2193"; }
.alert { color: var(--alert); }
figure { margin: 1.5rem 0; }
img { max-width: 100%; height: auto; background: #fff; padding: 0.5rem; box-sizing: border-box;
  border: 1px solid var(--line); }
figcaption, .faint { color: var(--faint); font-size: 0.875rem; }
dt { font-weight: 600; }
dd { margin: 0 0 0.6rem 1.5rem; overflow-wrap: anywhere; }
dd dl { margin: 0; display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; }
dd dt { font-weight: 400; color: var(--faint); }
dd dd { margin: 0; }
@media print {
  :root { color-scheme: light; --ink: #000; --faint: #444; --line: #bbb; --paper: #fff;
    --shade: #f3f3f3; --alert: #a40000; }
  body { font-size: 10pt; max-width: none; margin: 0; }
  table { font-size: 8pt; }
  th, td { padding: 0.1rem 0.3rem; }
  .scroll { overflow: visible; }
  figure, tr, dt { break-inside: avoid; }
  h2, h3, dt { break-after: avoid; }
  img { border: 0; padding: 0; max-height: 23cm; object-fit: contain; object-position: left; }
}
"""

# Without scripts, tables stay in the order in which they were written.
_SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending" && column > 0;
      const sign = down || head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      table.querySelectorAll("[aria-sort]").forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
      const text = row => row.cells[column] ? row.cells[column].textContent : "";
      const compare = (a, b) => {
        const [x, y] = [parseFloat(text(a)), parseFloat(text(b))];
        if (column === 0) return sign * text(a).localeCompare(text(b));
        if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
        return sign * (x - y);
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
"""


def page(title: str, body: Iterable[str]) -> str:
    """Put together a page that needs nothing from outside.

    Parameters
    ----------
    title : str
        Plain text.
    body : iterable of str
        HTML.

    Returns
    -------
    str
        The HTML file.
    """
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    )
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style></head><body>",
            *body,
            f"<script>{_SCRIPT}</script></body></html>\n",
        ]
    )


def name(text: str) -> str:
    """Write a name, whose letters may run from right to left, as HTML."""
    return f"<bdi>{escape(text)}</bdi>"


def decibels(value: float | None) -> str:
    """Write a figure in dB, a dash for none."""
    return NOTHING if value is None else f"{value:.2f}"


def row(head: str, cells: Iterable[str]) -> str:
    """Make a row of a table from the HTML of its first cell and the text of the others."""
    return (
        f'<tr><th scope="row">{head}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
    )


def table(
    heads: Sequence[str],
    rows: Iterable[str],
    *,
    caption: str,
    kind: Literal["", "sortable", "words"] = "",
) -> str:
    """Make a table.

    Parameters
    ----------
    heads : sequence of str
        Text above each column, broken into lines as it is to appear.
    rows : iterable of str
        HTML of the rows, or of whole groups of rows.
    caption : str
        Plain text.
    kind : {"", "sortable", "words"}, optional
        Figures; figures by whose columns a reader may sort, where cells without a number come
        last; or words.

    Returns
    -------
    str
        HTML.
    """
    return "\n".join(
        [
            f'<div class="scroll"><table class="{kind}">',
            f"<caption>{escape(caption)}</caption>",
            "<thead><tr>"
            + "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
            + "</tr></thead>",
            *rows,
            "</table></div>",
        ]
    )


def picture(png: bytes, alternative: str, caption: str) -> str:
    """Put a PNG into the page.

    Parameters
    ----------
    png : bytes
        The picture.
    alternative : str
        What it shows, in plain text, for those who cannot see it.
    caption : str
        Plain text below it.

    Returns
    -------
    str
        HTML.
    """
    # The header of a PNG has its width and height at fixed places.
    width, height = (int.from_bytes(png[start : start + 4]) for start in (16, 20))
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{escape(alternative)}" '
        f'width="{round(width * PIXELS)}" height="{round(height * PIXELS)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def definitions(content: Mapping[str, Any]) -> str:
    """List names and values, which may be mappings themselves.

    Parameters
    ----------
    content : mapping of str to JSON values
        What to list; what is None is left out.

    Returns
    -------
    str
        HTML.
    """
    items = [
        f"<dt>{escape(str(key).replace('_', ' '))}</dt>"
        f"<dd>{definitions(value) if isinstance(value, Mapping) else escape(_words(value))}</dd>"
        for key, value in content.items()
        if value is not None
    ]
    return f"<dl>{''.join(items)}</dl>"


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return str(value)
