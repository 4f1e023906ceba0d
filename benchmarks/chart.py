"""Figures as a picture."""

from collections.abc import Sequence
from html import escape
from math import log10
from typing import Final

from benchmarks.result import Result

_WIDTH: Final = 780
_ROW: Final = 22
_NAMES: Final = 300  # the column of names
_STYLE: Final = "text{font:13px sans-serif;fill:#444} rect{fill:#1f6feb}"


def bars(rows: Sequence[Result]) -> str:
    """Return an SVG picture of figures above zero, as bars on a logarithmic scale."""
    known = [(row.what, row.figure, row.unit) for row in rows if row.figure]
    if not known:
        return ""
    lowest = min(log10(figure) for _, figure, _ in known) - 0.2
    reach = max(log10(figure) for _, figure, _ in known) - lowest
    drawn = []
    for at, (what, figure, unit) in enumerate(known):
        length, y = (log10(figure) - lowest) / reach * (_WIDTH - _NAMES - 110), at * _ROW
        drawn.append(f'<text x="0" y="{y + 15}">{escape(what)}</text>')
        drawn.append(f'<rect x="{_NAMES}" y="{y + 3}" width="{length:.1f}" height="{_ROW - 6}"/>')
        drawn.append(f'<text x="{_NAMES + length + 8:.1f}" y="{y + 15}">{figure:.3g} {unit}</text>')
    size = f'viewBox="0 0 {_WIDTH} {len(known) * _ROW}" width="{_WIDTH}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{_STYLE}</style>{"".join(drawn)}</svg>\n'
