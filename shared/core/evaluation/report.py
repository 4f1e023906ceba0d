"""The figures that a report on a model shows, as plain values."""

from dataclasses import dataclass

import numpy as np

from shared.core.arrays import Float64s
from shared.core.evaluation.comparison import (
    CHALLENGER,
    CHALLENGER_RAW,
    CHAMPION,
    ZERO_CHANGE,
    CalibrationBin,
    Comparison,
)
from shared.core.evaluation.costs import NetReturn
from shared.core.evaluation.interval_summary import IntervalSummary
from shared.core.evaluation.skill_score import Skill
from shared.core.timestamps import format_timestamp


@dataclass(frozen=True, slots=True)
class ModelReport:
    """The figures of a report; empty fields have no section."""

    title: str
    comparison: Comparison
    decision: str = ""  # a sentence
    training_losses: tuple[float, ...] = ()  # means by epoch
    validation_losses: tuple[float, ...] = ()
    online_skills: tuple[float | None, ...] = ()  # by epoch, over the validation span
    champion: str = CHAMPION  # its name in the comparison, if it takes part
    before: Comparison | None = None  # the champion alone, over the candles before these
    notes: tuple[str, ...] = ()  # sentences on how far to trust the figures
    net_returns: tuple[NetReturn, ...] = ()  # of the challenger
    intervals: IntervalSummary | None = None  # the challenger's


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A named line through points (n,), at least one."""

    name: str
    style: int  # which colour and dashes: a contender looks the same in every chart
    x: Float64s
    y: Float64s


SymbolSkills = list[tuple[str, Skill]]
"""Skills by symbol: all of them pooled, then the best first."""


@dataclass(frozen=True, slots=True)
class ReportFigures:
    """All figures of a report; what there is no data for is empty."""

    over_time: list[Curve]
    symbols: SymbolSkills
    calibration: list[CalibrationBin]
    against_champion: list[Curve]  # one: the challenger's skill over time
    champion_symbols: SymbolSkills  # of the challenger against the champion
    promotion: list[Curve]  # the challenger after the promotion, the champion before it as well
    losses: list[Curve]
    online_skills: list[Curve]


def build_figures(report: ModelReport) -> ReportFigures:
    """Compute all figures of a report."""
    comparison, champion, before = report.comparison, report.champion, report.before
    is_scored = comparison.skill(CHALLENGER) is not None
    is_calibrated = is_scored and CHALLENGER_RAW in comparison.names
    has_champion = (
        is_scored
        and champion in comparison.names
        and comparison.skill(CHALLENGER, champion) is not None
    )
    has_before = has_champion and before is not None and before.skill(champion) is not None
    return ReportFigures(
        over_time=_skill_over_time(comparison) if is_scored else [],
        symbols=_symbol_skills(comparison, ZERO_CHANGE) if is_scored else [],
        calibration=comparison.calibration_bins() if is_calibrated else [],
        against_champion=_skill_against(comparison, champion) if has_champion else [],
        champion_symbols=_symbol_skills(comparison, champion) if has_champion else [],
        promotion=_promotion_curves(comparison, before, champion) if has_before and before else [],
        losses=_loss_curves(report),
        online_skills=_online_skill_curves(report),
    )


def overlap_notes(
    name: str, trained_through_ms: int, comparison: Comparison, before: Comparison | None = None
) -> tuple[str, ...]:
    """Note that a model was trained on some of the candles that it is scored on, if it was.

    Args:
        name: what to call the model.
        trained_through_ms: the open time of the last candle that its training has seen.
        comparison: what it is scored on.
        before: an earlier span that it is scored on as well.
    """
    earlier = np.empty(0) if before is None else before.moments
    moments = np.concatenate([earlier, comparison.moments])
    if not len(moments) or moments[0] > trained_through_ms:
        return ()
    first, last = format_timestamp(moments[0]), format_timestamp(trained_through_ms)
    return (
        f"{name} was trained through {last} UTC and is scored from {first}:"
        " its skill up to there is flattered.",
    )


def _skill_over_time(comparison: Comparison) -> list[Curve]:
    return [
        _curve(comparison, name, comparison.moments, comparison.cumulative_skill(name))
        for name in comparison.names
        if name != ZERO_CHANGE
    ]


def _skill_against(comparison: Comparison, champion: str) -> list[Curve]:
    saved = comparison.cumulative_skill(CHALLENGER, champion)
    return [_curve(comparison, CHALLENGER, comparison.moments, saved)]


def _promotion_curves(comparison: Comparison, before: Comparison, champion: str) -> list[Curve]:
    """Join the champion's curve before the promotion with both curves after it."""
    # Both spans are shares of the same error, that of zero change after the promotion, so that
    # the slopes before and after can be compared.
    total = comparison.errors(ZERO_CHANGE).sum()
    earlier = np.cumsum(before.errors(ZERO_CHANGE) - before.errors(champion)) / total
    moments, level = comparison.moments, earlier[-1]
    challenger = level + comparison.cumulative_skill(CHALLENGER)
    whole = np.concatenate([earlier, level + comparison.cumulative_skill(champion)])
    return [
        _curve(comparison, CHALLENGER, moments, challenger),
        _curve(comparison, champion, np.concatenate([before.moments, moments]), whole),
    ]


def _symbol_skills(comparison: Comparison, against: str) -> SymbolSkills:
    pooled = comparison.skill(CHALLENGER, against)
    if pooled is None:
        return []
    skills = [(s, comparison.symbol_skill(CHALLENGER, s, against)) for s in comparison.symbols]
    known = [(symbol, skill) for symbol, skill in skills if skill is not None]
    return [("all, pooled", pooled), *sorted(known, key=lambda item: -item[1].value)]


def _loss_curves(report: ModelReport) -> list[Curve]:
    series = (("validation", report.validation_losses), ("training", report.training_losses))
    if not report.training_losses:
        return []
    return [
        Curve(f"{name} {losses[-1]:.4f}", at, np.arange(1.0, len(losses) + 1), np.array(losses))
        for at, (name, losses) in enumerate(series)
        if losses
    ]


def _online_skill_curves(report: ModelReport) -> list[Curve]:
    scored = [(epoch, v) for epoch, v in enumerate(report.online_skills, 1) if v is not None]
    if not report.training_losses or not scored:
        return []
    epochs, values = np.array(scored, dtype=np.float64).T
    return [Curve("online, validation", 0, epochs, values)]


def _curve(comparison: Comparison, name: str, x: Float64s, y: Float64s) -> Curve:
    return Curve(name, comparison.names.index(name) - 1, x, y)
