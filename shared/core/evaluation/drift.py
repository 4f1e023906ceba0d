"""Whether the version in use still forecasts as it did, by the errors of its newest outcomes. Values only."""

from math import erfc, sqrt
from typing import Final

import numpy as np

from shared.core.evaluation.comparison import CANDIDATE, skill_of
from shared.core.evaluation.skill_score import Skill, skill_score
from shared.core.model.card import Card
from shared.core.model.shrinkage import Shrinkage
from shared.core.online.prediction import Prediction

SURE: Final = 0.01  # chance of seeing drift at one look where there is none
_LARGEST: Final = Shrinkage().largest
_WIDTH: Final = 2 * 1.959964  # standard errors between the ends of a skill's interval


class Recent:
    """Squared errors of one version's newest outcomes: so many moments, and one scale a symbol, are remembered.

    Errors are in units of each prediction's scale, the symbol's volatility, so that a quiet symbol counts as much as
    a wild one; outcomes beyond 8 of it count as 8, so that no single candle decides.
    """

    def __init__(self, version: str, moments: int, promised: Skill | None = None) -> None:
        """Start with nothing of this version; `moments` are looked back on, `promised` is its held-out skill."""
        self.version, self._moments, self._promised = version, moments, promised
        self._sums: dict[int, tuple[float, float]] = {}  # by open time: ours, zero change's
        self._scales: dict[
            str, tuple[int, float]
        ] = {}  # by symbol: of its last prediction, with its open time

    def take(self, prediction: Prediction) -> None:
        """Take in what a prediction says of the one before it; a symbol's come in order."""
        previous, known = prediction.previous, self._scales.get(prediction.symbol)
        self._scales[prediction.symbol] = prediction.open_time_ms, prediction.change_scale
        if (
            previous is None
            or previous.outcome_change is None
            or previous.model_version != self.version
        ):
            return
        if known is None or known[0] != previous.open_time_ms or known[1] <= 0.0:
            return
        outcome = min(_LARGEST, max(-_LARGEST, previous.outcome_change / known[1]))
        missed = previous.calibrated_change / known[1] - outcome
        self._add(previous.open_time_ms, missed * missed, outcome * outcome)

    def skill(self) -> Skill | None:
        """Return the skill of the newest whole moments against zero change; None while they are too few.

        The very last moment may still lack symbols.
        """
        if len(self._sums) <= self._moments:
            return None
        ours, zero = np.array([self._sums[at] for at in sorted(self._sums)[:-1]]).T
        return skill_score(ours, zero)

    def drift(self) -> str | None:
        """Return why the version should be followed by another, or None."""
        return drifted(self.skill(), self._promised)

    def _add(self, time_ms: int, ours: float, zero: float) -> None:
        before = self._sums.get(time_ms, (0.0, 0.0))
        self._sums[time_ms] = before[0] + ours, before[1] + zero
        if len(self._sums) > self._moments + 1:
            del self._sums[min(self._sums)]


def promised_by(card: Card) -> Skill | None:
    """Return the skill that a version had on its held-out candles; None if it was never scored."""
    return skill_of(card.scores, CANDIDATE)


def drifted(recent: Skill | None, promised: Skill | None) -> str | None:
    """Return why a version should be followed by another, or None.

    Either its recent skill is below zero (Diebold and Mariano's test), or below what it promised: the difference of
    the two skills, each with its own variance that allows for correlation in time, is below zero; both beyond chance.
    """
    if recent is None or recent.value >= (0.0 if promised is None else max(0.0, promised.value)):
        return None
    told = f"its skill over the last {recent.n} candles is {recent.value:+.3%}"
    p = _below(recent.value, _error(recent))
    if p < SURE:
        return f"{told}, below zero with p = {p:.2g}"
    if promised is None:
        return None
    p = _below(recent.value - promised.value, sqrt(_error(recent) ** 2 + _error(promised) ** 2))
    return (
        f"{told}, below its {promised.value:+.3%} on held-out candles with p = {p:.2g}"
        if p < SURE
        else None
    )


def _error(found: Skill) -> float:
    return (found.high - found.low) / _WIDTH


def _below(value: float, error: float) -> float:
    """Return the chance of a value as low as this, or lower, were zero the truth."""
    if error == 0.0:
        return 1.0 if value >= 0.0 else 0.0
    return 0.5 * erfc(-value / error / sqrt(2.0))
