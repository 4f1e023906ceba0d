"""Pictures in SVG, for a page of HTML that needs nothing else."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from math import ceil, floor, log10
from typing import Final

import numpy as np

from shared.core.arrays import Float64s
from shared.core.evaluation.comparison import CalibrationBin
from shared.core.evaluation.skill_score import Skill

COLOURS: Final = (
    "#2f81f7",
    "#c9510c",
    "#8957e5",
    "#1f883d",
    "#d1242f",
    "#6e7781",
)  # readable on white and on black
STYLE: Final = (
    "svg { max-width: 100%; height: auto; display: block } text { font: 12px sans-serif; fill: currentColor }"
    " .axis { stroke: currentColor; stroke-opacity: .55; fill: none }"
    " .grid { stroke: currentColor; stroke-opacity: .15 }"
    f" .better {{ stroke: {COLOURS[3]}; fill: {COLOURS[3]} }} .worse {{ stroke: {COLOURS[4]}; fill: {COLOURS[4]} }}"
    f" .open {{ stroke: {COLOURS[5]}; fill: {COLOURS[5]} }}"
)
_DASHES: Final = (
    "",
    "7 3",
    "2 3",
    "9 3 2 3",
    "4 2",
    "1 2",
)  # so that lines differ without their colours
_WIDTH: Final = 720
_HEIGHT: Final = 280
_LEFT, _RIGHT, _TOP, _BOTTOM = (
    70,
    505,
    10,
    250,
)  # the frame of a picture with axes; right of it stands what is what
_ROW: Final = 18
_NAMES: Final = 120  # the column of names
_MOST_POINTS: Final = 500
_HOUR_MS: Final = 3_600_000
_DATE_STEPS_H: Final = (
    1,
    2,
    3,
    6,
    12,
    24,
    48,
    72,
    120,
    168,
    240,
    336,
    720,
    2184,
    4368,
    8760,
    17520,
    43800,
    87600,
)

Ticks = Callable[[float, float], list[tuple[float, str]]]


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A named line through points (n,), at least one."""

    name: str
    pen: int  # which colour and dashes, counted from 0
    x: Float64s
    y: Float64s


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where values from one to another lie in the picture."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / ((self.high - self.low) or 1.0) * (
            self.end - self.start
        )


def lines(
    title: str,
    drawn: Sequence[Line],
    across: Ticks,
    up: Ticks,
    mark: tuple[float, str] | None = None,
) -> str:
    """Draw lines over one axis each way, with their names beside them, the one that ends highest first.

    Args:
        title: what the picture shows.
        drawn: the lines.
        across: gives the marks of the lower axis.
        up: gives those of the left one.
        mark: an upright line at a value of the lower axis, and what it says.
    """
    x, y = _scales(
        np.concatenate([line.x for line in drawn]), np.concatenate([line.y for line in drawn])
    )
    parts = [*_axes(x, y, across, up)]
    if mark is not None:
        at = x(mark[0])
        parts.append(
            f'<line class="axis" stroke-dasharray="4 3" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_BOTTOM}"/>'
        )
        parts.append(f'<text x="{at + 4:.1f}" y="{_TOP + 12}">{escape(mark[1])}</text>')
    for line in drawn:
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in _thinned(line))
        parts.append(f'<polyline fill="none" {_pen(line.pen)} points="{points}"/>')
        parts.append(_dot(line.pen, x(line.x[-1]), y(line.y[-1])))
    for row, line in enumerate(sorted(drawn, key=lambda line: -line.y[-1])):
        parts.append(
            _legend(row, line.name, f"<line {_pen(line.pen)} x1='0' x2='22' y1='-4' y2='-4'/>")
        )
    return _svg(title, _HEIGHT, parts)


def reliability(title: str, bins: Sequence[CalibrationBin]) -> str:
    """Draw mean outcomes over mean forecasts, raw and calibrated, with standard errors, and the diagonal."""
    forecasts = np.array([value for one in bins for value in (one.raw, one.calibrated)])
    reach = [value for one in bins for value in (one.outcome - one.error, one.outcome + one.error)]
    across = np.concatenate([forecasts, 1.05 * forecasts])  # so that no bin lies on the frame
    x, y = _scales(across, np.array([*reach, across.min(), across.max()]))
    diagonal = f'x1="{x(x.low):.1f}" y1="{y(x.low):.1f}" x2="{x(x.high):.1f}" y2="{y(x.high):.1f}"'
    parts = [
        *_axes(x, y, numbers, numbers),
        f'<line class="axis" stroke-dasharray="4 3" {diagonal}/>',
    ]
    for one in bins:
        for pen, forecast in enumerate((one.calibrated, one.raw)):
            at, low, high = x(forecast), y(one.outcome - one.error), y(one.outcome + one.error)
            parts.append(
                f'<line {_pen(pen, dashed=False)} x1="{at:.1f}" x2="{at:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
            )
            parts.append(_dot(pen, at, y(one.outcome)))
    parts += [
        _legend(pen, name, _dot(pen, 11, -4)) for pen, name in enumerate(("calibrated", "raw"))
    ]
    parts.append(
        _legend(
            2,
            "as large as forecast",
            '<line class="axis" stroke-dasharray="4 3" x2="22" y1="-4" y2="-4"/>',
        )
    )
    return _svg(title, _HEIGHT, parts)


def intervals(title: str, rows: Sequence[tuple[str, Skill]]) -> str:
    """Draw skills with their intervals, one below the other."""
    x = _Scale(
        min(0.0, *(one.low for _, one in rows)),
        max(1e-9, *(one.high for _, one in rows)),
        _NAMES,
        _WIDTH - 90,
    )
    parts = [
        f'<line class="axis" x1="{x(0.0):.1f}" x2="{x(0.0):.1f}" y1="0" y2="{len(rows) * _ROW}"/>'
    ]
    for at, (name, one) in enumerate(rows):
        y = at * _ROW + _ROW / 2
        kind = "better" if one.low > 0 else "worse" if one.high < 0 else "open"
        parts.append(
            f'<text x="0" y="{y + 4}">{escape(name)}</text>'
            f'<line class="{kind}" x1="{x(one.low):.1f}" x2="{x(one.high):.1f}" y1="{y}" y2="{y}"/>'
            f'<circle class="{kind}" cx="{x(one.value):.1f}" cy="{y}" r="4"/>'
            f'<text x="{_WIDTH - 70}" y="{y + 4}">{one.value:+.3%}</text>'
        )
    return _svg(title, len(rows) * _ROW, parts)


def numbers(low: float, high: float) -> list[tuple[float, str]]:
    """Return round values of a span and their texts."""
    step = _step(low, high)
    return [(value, f"{value:.{_decimals(step)}f}") for value in _multiples(low, high, step)]


def percents(low: float, high: float) -> list[tuple[float, str]]:
    """Return round fractions of a span, told as percentages."""
    step = _step(low, high)
    return [(value, f"{value:+.{_decimals(step * 100)}%}") for value in _multiples(low, high, step)]


def wholes(low: float, high: float) -> list[tuple[float, str]]:
    """Return round whole numbers of a span."""
    return [(value, f"{value:.0f}") for value in _multiples(low, high, max(1.0, _step(low, high)))]


def dates(low_ms: float, high_ms: float) -> list[tuple[float, str]]:
    """Return round moments of a span in ms since 1970, told in UTC."""
    steps = (
        h for h in _DATE_STEPS_H if (high_ms - low_ms) / (h * _HOUR_MS) <= (3.5 if h < 24 else 5.5)
    )
    hours = next(steps, _DATE_STEPS_H[-1])
    step, form = hours * _HOUR_MS, "%Y-%m-%d %H:%M" if hours < 24 else "%Y-%m-%d"
    moments = range(ceil(low_ms / step) * step, floor(high_ms) + 1, step)
    return [
        (moment, datetime.fromtimestamp(moment / 1000, UTC).strftime(form)) for moment in moments
    ]


def _scales(across: Float64s, up: Float64s) -> tuple[_Scale, _Scale]:
    low, high = float(up.min()), float(up.max())
    room = 0.04 * ((high - low) or 1.0)
    return (
        _Scale(float(across.min()), float(across.max()), _LEFT, _RIGHT),
        _Scale(low - room, high + room, _BOTTOM, _TOP),
    )


def _axes(x: _Scale, y: _Scale, across: Ticks, up: Ticks) -> Iterator[str]:
    for value, text in up(y.low, y.high):
        at = y(value)
        kind = "axis" if value == 0.0 else "grid"
        yield f'<line class="{kind}" x1="{_LEFT}" x2="{_RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{text}</text>'
    for value, text in across(x.low, x.high):
        at = x(value)
        yield f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_BOTTOM}"/>'
        yield f'<text x="{at:.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{text}</text>'
    yield f'<path class="axis" d="M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}"/>'


def _thinned(line: Line) -> Iterator[tuple[float, float]]:
    """Yield points of a line: as many as can be told apart."""
    chosen = np.unique(
        np.linspace(0, len(line.x) - 1, min(len(line.x), _MOST_POINTS)).astype(np.int64)
    )
    return zip(line.x[chosen].tolist(), line.y[chosen].tolist(), strict=True)


def _pen(pen: int, *, dashed: bool = True) -> str:
    dashes = _DASHES[pen % len(_DASHES)] if dashed else ""
    return f'stroke="{COLOURS[pen % len(COLOURS)]}" stroke-width="2" stroke-dasharray="{dashes or "none"}"'


def _dot(pen: int, x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[pen % len(COLOURS)]}"/>'


def _legend(row: int, name: str, sample: str) -> str:
    place = f"translate({_RIGHT + 14} {_TOP + 16 + row * _ROW})"
    return f'<g transform="{place}">{sample}<text x="28" y="0">{escape(name)}</text></g>'


def _step(low: float, high: float) -> float:
    wanted = ((high - low) or 1.0) / 5
    power = 10.0 ** floor(log10(wanted))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= wanted * (1 - 1e-9))


def _multiples(low: float, high: float, step: float) -> list[float]:
    return [
        round(at * step, 12) for at in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)
    ]


def _decimals(step: float) -> int:
    return max(0, -floor(log10(step) + 1e-9))


def _svg(title: str, height: float, drawn: Iterable[str]) -> str:
    told = escape(title)
    head = f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img" aria-label="{told}"><title>{told}</title>'
    return f"{head}{''.join(drawn)}</svg>"
