"""A model's report as one page of HTML that needs nothing else: pictures are drawn in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from shared.core.contest import CANDIDATE, ZERO, Contest
from shared.core.skill import Skill

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse } td, th { padding: .2em .8em; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left } svg { max-width: 100%; height: auto } text { font: 12px sans-serif }
.better { stroke: #1a7f37; fill: #1a7f37 } .worse { stroke: #b42318; fill: #b42318 } .open { stroke: #888; fill: #888 }
"""
_WIDTH: Final = 720
_ROW: Final = 18
_NAMES: Final = 120  # the column of symbols


@dataclass(frozen=True, slots=True)
class Report:
    """What a page tells; losses are means by epoch."""

    title: str
    contest: Contest
    decision: str = ""  # a sentence; none: nothing was decided
    training_losses: tuple[float, ...] = ()  # none: nothing was trained
    validation_losses: tuple[float, ...] = ()


def page(report: Report) -> str:
    """Return the page: the decision, forecasts side by side, skill by symbol with intervals, learning curves."""
    contest = report.contest
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        f"<p>{escape(report.decision)}</p>",
        "<h2>Held-out candles, each forecast before it was learnt from</h2>",
        "<p>Skill is 1 - squared error / that of no change, in units of each symbol's volatility; p is Diebold and"
        " Mariano's, one-sided.</p>",
        _forecasts(contest),
        "<h2>Skill by symbol, calibrated, with intervals of 95 %</h2>",
        _symbols(contest),
    ]
    if report.training_losses:
        parts += ["<h2>Learning curves</h2>", _curves(report)]
    head = f'<meta charset="utf-8"><title>{escape(report.title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}{"".join(parts)}</html>\n'


def _forecasts(contest: Contest) -> str:
    rows = [("forecast", "skill", "interval", "p", "candidate against it", "p", "sign right")]
    for name in contest.names:
        found, hits = contest.skill(name), contest.hits(name)
        against = contest.skill(CANDIDATE, name) if name != CANDIDATE else None
        skill = _skill_cells(found) if name != ZERO else ("", "", "")
        right = f"{hits.right / hits.moves:.1%}" if hits.moves else ""
        rows.append((name, *skill, *_skill_cells(against)[::2], right))
    head, *body = ("".join(f"<{cell}>{escape(value)}</{cell}>" for value in row) for row, cell in _cells(rows))
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in body)}</table>"


def _cells(rows: Sequence[tuple[str, ...]]) -> Iterable[tuple[tuple[str, ...], str]]:
    return ((row, "th" if at == 0 else "td") for at, row in enumerate(rows))


def _skill_cells(found: Skill | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    return f"{found.value:+.3%}", f"{found.low:+.3%} to {found.high:+.3%}", f"{found.p:.2g}"


def _symbols(contest: Contest) -> str:
    """Draw a bar for each symbol, the best first."""
    skills = [(symbol, contest.symbol_skill(CANDIDATE, symbol)) for symbol in contest.symbols]
    known = sorted(((s, one) for s, one in skills if one is not None), key=lambda item: -item[1].value)
    if not known:
        return "<p>Nothing was scored.</p>"
    least, most = min(0.0, *(s.low for _, s in known)), max(1e-9, *(s.high for _, s in known))

    def x(value: float) -> float:
        return _NAMES + (value - least) / (most - least) * (_WIDTH - _NAMES - 90)

    drawn = [f'<line x1="{x(0.0):.1f}" x2="{x(0.0):.1f}" y1="0" y2="{len(known) * _ROW}" stroke="#bbb"/>']
    for at, (symbol, one) in enumerate(known):
        y = at * _ROW + _ROW / 2
        kind = "better" if one.low > 0 else "worse" if one.high < 0 else "open"
        drawn.append(
            f'<text x="0" y="{y + 4}">{escape(symbol)}</text>'
            f'<line class="{kind}" x1="{x(one.low):.1f}" x2="{x(one.high):.1f}" y1="{y}" y2="{y}"/>'
            f'<circle class="{kind}" cx="{x(one.value):.1f}" cy="{y}" r="4"/>'
            f'<text x="{_WIDTH - 70}" y="{y + 4}">{one.value:+.3%}</text>'
        )
    return _svg(len(known) * _ROW, drawn)


def _curves(report: Report) -> str:
    """Draw the losses by epoch."""
    losses = [*report.training_losses, *report.validation_losses]
    height, low, high = 220, min(losses), max(losses)
    span, last = (high - low) or 1.0, max(len(report.training_losses) - 1, 1)
    drawn = []
    for name, values, colour, y in (
        ("training", report.training_losses, "#888", 14),
        ("validation", report.validation_losses, "#1f6feb", 30),
    ):
        points = " ".join(
            f"{40 + at / last * (_WIDTH - 160):.1f},{10 + (high - value) / span * (height - 40):.1f}"
            for at, value in enumerate(values)
        )
        drawn.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>')
        drawn.append(f'<text x="{_WIDTH - 110}" y="{y}" fill="{colour}">{name} {values[-1]:.4f}</text>')
    told = f"epochs 1 to {len(report.training_losses)}, losses {low:.4f} to {high:.4f}"
    drawn.append(f'<text x="40" y="{height - 6}">{told}</text>')
    return _svg(height, drawn)


def _svg(height: float, drawn: Iterable[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img">{"".join(drawn)}</svg>'
