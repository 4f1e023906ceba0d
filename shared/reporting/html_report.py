"""A report of skill as one page of HTML that needs nothing else: pictures are drawn in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np

from shared.core.evaluation.comparison import CANDIDATE, INCUMBENT, RAW, ZERO, Comparison
from shared.core.evaluation.skill_score import Skill
from shared.core.timestamps import format_timestamp
from shared.reporting import charts
from shared.reporting.charts import Line, dates, intervals, lines, numbers, percents, wholes

_STYLE: Final = f"""
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}
table {{ border-collapse: collapse }} td:first-child, th:first-child {{ text-align: left }}
td, th {{ padding: .2em .8em; text-align: right; border-bottom: 1px solid #8884 }} {charts.STYLE}
@media (prefers-color-scheme: dark) {{ body {{ background: #121212; color: #ddd }} }}
"""
_OVER_TIME: Final = (
    "Squared error saved so far, as a share of all that zero change has, in units of each symbol's volatility, summed"
    " over symbols; times are UTC. A steady skill is a steady slope."
)


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What a page tells; what is left empty has no section."""

    title: str
    contest: Comparison  # with a candidate
    decision: str = ""  # a sentence
    training_losses: tuple[float, ...] = ()  # means by epoch
    validation_losses: tuple[float, ...] = ()
    online_skills: tuple[
        float | None, ...
    ] = ()  # by epoch: of the online forecast on the validation span
    champion: str = (
        INCUMBENT  # the forecast of the contest that the candidate is to replace, if it is there
    )
    before: Comparison | None = None  # of the champion alone, over the candles before these
    notes: tuple[str, ...] = ()  # sentences on what the figures are worth


def page(report: ModelReport) -> str:
    """Return the page: the decision, forecasts side by side, over time, by symbol and by size, learning curves."""
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        *(f"<p>{escape(text)}</p>" for text in _sentences(report)),
    ]
    for heading, text, drawn in _sections(report):
        parts.append(f"<h2>{escape(heading)}</h2><p>{escape(text)}</p>{drawn}")
    head = (
        f'<meta charset="utf-8"/><meta name="viewport" content="width=device-width"/>'
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style>"
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def seen(
    name: str, trained_through_ms: int, contest: Comparison, before: Comparison | None = None
) -> tuple[str, ...]:
    """Return a note for a report if a model was trained on some of the candles of a contest, or of those before."""
    earlier = np.empty(0) if before is None else before.moments()
    moments = np.concatenate([earlier, contest.moments()])
    if not len(moments) or moments[0] > trained_through_ms:
        return ()
    first, last = format_timestamp(moments[0]), format_timestamp(trained_through_ms)
    return (
        f"{name} was trained through {last} UTC and is scored from {first}: its skill up to there is flattered.",
    )


def _sentences(report: ModelReport) -> Iterator[str]:
    if report.decision:
        yield report.decision
    yield from report.notes
    if report.contest.skill(CANDIDATE) is None:
        yield "Nothing was scored."


def _sections(report: ModelReport) -> Iterator[tuple[str, str, str]]:
    """Yield heading, text and picture of what there is to tell."""
    contest = report.contest
    yield (
        "Each forecast made before it was learnt from",
        "Skill is 1 - squared error / that of no change, in units of each symbol's volatility; p is Diebold and"
        " Mariano's, one-sided.",
        _forecasts(contest),
    )
    if contest.skill(CANDIDATE) is not None:
        yield "Over time", f"{_OVER_TIME} A line ends at its skill.", _over_time(contest)
        if (
            report.champion in contest.names
            and contest.skill(CANDIDATE, report.champion) is not None
        ):
            yield from _against_champion(report)
        yield (
            "Skill by symbol",
            "Of the calibrated forecasts, with intervals of 95 %.",
            _symbols("Skill by symbol", contest, ZERO),
        )
        if RAW in contest.names:
            yield (
                "Calibration",
                "Mean outcome over mean forecast, both in volatilities, for ten bins of the raw forecast with as many"
                " forecasts in each; bars are one standard error each way.",
                charts.reliability("Mean outcome by size of the forecast", contest.bins()),
            )
    if report.training_losses:
        yield (
            "Learning curves",
            "Losses and, where it was scored, the online forecast's skill by epoch.",
            _curves(report),
        )


def _against_champion(report: ModelReport) -> Iterator[tuple[str, str, str]]:
    contest, champion = report.contest, report.champion
    if report.before is not None and report.before.skill(champion) is not None:
        yield (
            "Before and after promotion",
            f"Candles before the promotion, forecast by {champion}, and after it, by both. {_OVER_TIME}",
            _before_and_after(contest, report.before, champion),
        )
    title = f"Candidate against {champion}"
    saved = Line(
        CANDIDATE, _pen(contest, CANDIDATE), contest.moments(), contest.saved(CANDIDATE, champion)
    )
    yield (
        title,
        f"Skill against {champion} over time, as above, and by symbol with intervals of 95 %: to the right is better.",
        lines(f"{title} over time", [saved], dates, percents)
        + _symbols(f"{title} by symbol", contest, champion),
    )


def _forecasts(contest: Comparison) -> str:
    rows: list[Sequence[str]] = [
        ("forecast", "skill", "interval", "p", "candidate against it", "p", "sign right")
    ]
    for name in contest.names:
        found, hits = contest.skill(name), contest.hits(name)
        against = contest.skill(CANDIDATE, name) if name != CANDIDATE else None
        skill = _skill_cells(found) if name != ZERO else ("", "", "")
        right = f"{hits.right / hits.moves:.1%}" if hits.moves else ""
        rows.append((name, *skill, *_skill_cells(against)[::2], right))
    return _table(rows)


def _over_time(contest: Comparison) -> str:
    moments = contest.moments()
    drawn = [
        Line(name, _pen(contest, name), moments, contest.saved(name))
        for name in contest.names
        if name != ZERO
    ]
    return lines("Squared error saved over time, by forecast", drawn, dates, percents)


def _before_and_after(contest: Comparison, before: Comparison, champion: str) -> str:
    """Draw the champion's forecasts up to the promotion, and from there on its and the candidate's."""
    total = contest.errors(ZERO).sum()
    earlier = np.cumsum(before.errors(ZERO) - before.errors(champion)) / total
    moments, reached = contest.moments(), earlier[-1]
    drawn = [
        Line(CANDIDATE, _pen(contest, CANDIDATE), moments, reached + contest.saved(CANDIDATE)),
        Line(
            champion,
            _pen(contest, champion),
            np.concatenate([before.moments(), moments]),
            np.concatenate([earlier, reached + contest.saved(champion)]),
        ),
    ]
    rows = [
        ("", champion, "interval", "candidate", "interval"),
        ("before", *_skill_cells(before.skill(champion))[:2], "", ""),
        (
            "after",
            *_skill_cells(contest.skill(champion))[:2],
            *_skill_cells(contest.skill(CANDIDATE))[:2],
        ),
    ]
    mark = (float(moments[0]), "promotion")
    return lines(
        "Squared error saved before and after promotion", drawn, dates, percents, mark
    ) + _table(rows)


def _pen(contest: Comparison, name: str) -> int:
    """A forecast looks the same in every picture."""
    return contest.names.index(name) - 1


def _symbols(title: str, contest: Comparison, against: str) -> str:
    """Draw the candidate's skill against another forecast: pooled, and by symbol, the best first."""
    skills = [
        (symbol, contest.symbol_skill(CANDIDATE, symbol, against)) for symbol in contest.symbols
    ]
    known = sorted(
        ((s, one) for s, one in skills if one is not None), key=lambda item: -item[1].value
    )
    whole = contest.skill(CANDIDATE, against)
    return intervals(title, [("all, pooled", whole), *known]) if whole is not None else ""


def _curves(report: ModelReport) -> str:
    drawn = [
        Line(f"{name} {losses[-1]:.4f}", pen, np.arange(1.0, len(losses) + 1), np.array(losses))
        for pen, (name, losses) in enumerate(
            (("validation", report.validation_losses), ("training", report.training_losses))
        )
        if losses
    ]
    scored = [
        (epoch, value) for epoch, value in enumerate(report.online_skills, 1) if value is not None
    ]
    skills = ""
    if scored:
        epochs, values = np.array(scored, dtype=np.float64).T
        skills = lines(
            "Online skill by epoch",
            [Line("online, validation", 0, epochs, values)],
            wholes,
            percents,
        )
    return lines("Losses by epoch", drawn, wholes, numbers) + skills


def _table(rows: Sequence[Sequence[str]]) -> str:
    drawn = []
    for at, row in enumerate(rows):
        cell = "th" if at == 0 else "td"
        drawn.append(f"<tr>{''.join(f'<{cell}>{escape(value)}</{cell}>' for value in row)}</tr>")
    return f"<table>{''.join(drawn)}</table>"


def _skill_cells(found: Skill | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    return f"{found.value:+.3%}", f"{found.low:+.3%} to {found.high:+.3%}", f"{found.p:.2g}"
