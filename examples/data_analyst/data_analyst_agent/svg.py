"""Pieces of SVG 1.1: escaped text, shapes, and a page with title, description and its own colours.

No scripts, no fonts or images from elsewhere; light and dark by `prefers-color-scheme`; contrast of text at
least 4.5 : 1 (WCAG 2.2, 1.4.3), and nothing is said by colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import floor, log10

_STYLE = """
  .page{fill:#ffffff} .ink{fill:#1f2933} .soft{fill:#52606d} .bar{fill:#3b6fb6} .box{fill:#d9822b}
  .line{stroke:#9aa5b1;stroke-width:1;fill:none} .whisker{stroke:#b4610f;stroke-width:1.5;fill:none}
  .track{fill:#e4e7eb} .cell{stroke:#ffffff;stroke-width:1.5}
  text{font-family:ui-sans-serif,system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:11px}
  .head{font-size:18px;font-weight:600} .name{font-size:12.5px;font-weight:600} .small{font-size:10px}
  @media (prefers-color-scheme:dark){
    .page{fill:#14181d} .ink{fill:#f0f4f8} .soft{fill:#a9b6c4} .bar{fill:#6d9fe0} .box{fill:#e8a04f}
    .line{stroke:#52606d} .whisker{stroke:#f0b26b} .track{fill:#2a323c} .cell{stroke:#14181d}
  }
"""


def text(x: float, y: float, said: str, kind: str = "ink", anchor: str = "start", more: str = "") -> str:
    """A line of text; `kind` are its classes."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}"{more}>{clean(said)}</text>'


def rect(x: float, y: float, width: float, height: float, kind: str, told: str = "", more: str = "") -> str:
    """A rectangle; `told` is what pointing at it shows."""
    inside = f"<title>{clean(told)}</title>" if told else ""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(0, width):.1f}" height="{max(0, height):.1f}"'
    return f'<rect {place} class="{kind}"{more}>{inside}</rect>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "line") -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def page(width: float, height: float, title: str, description: str, parts: Sequence[str]) -> str:
    """A whole picture. Screen readers get title and description."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
            f' width="{width:.0f}" height="{height:.0f}" role="img" aria-labelledby="title desc">',
            f'<title id="title">{clean(title)}</title>',
            f'<desc id="desc">{clean(description)}</desc>',
            f"<style>{_STYLE}</style>",
            rect(0, 0, width, height, "page"),
            *parts,
            "</svg>",
            "",
        ]
    )


def clean(said: str) -> str:
    """Text escaped for XML, without the control characters that XML doesn't know."""
    return escape("".join(c if c.isprintable() else " " for c in said))


def cut(said: str, width: float, size: float = 11) -> str:
    """Text cut to about `width` pixels at `size` pixels of type."""
    most = max(2, int(width / (size * 0.56)))
    return said if len(said) <= most else said[: most - 1].rstrip() + "…"


def short(value: float) -> str:
    """A number for an axis: 12.5k, 3.4M, 0.02."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if abs(value) >= size and abs(value) < 1e15:
            return f"{value / (1e3 if unit == 'k' else size):.3g}{unit}"
    if value == 0:
        return "0"
    if abs(value) < 1e-3 or abs(value) >= 1e15:
        return f"{value:.2g}"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    text = f"{value:.{max(0, 2 - floor(log10(abs(value))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
