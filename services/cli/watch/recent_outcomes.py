"""The newest outcomes of one symbol: skill, and how sure it is."""

from typing import Final

import numpy as np

from shared.core.evaluation.skill_score import Skill, skill_score
from shared.core.online.prediction import Outcome

WINDOW: Final = 288  # outcomes: a day of five-minute candles
FEWEST: Final = 12  # outcomes that an interval is computed from


class RecentOutcomes:
    """Squared errors of a symbol's calibrated forecasts, and of zero change: the newest ones."""

    def __init__(self) -> None:
        """Begin without an outcome."""
        self._errors = np.zeros((WINDOW, 2))
        self._count, self._newest_ms = 0, -1
        self._skill: Skill | None = None
        self._is_computed = True

    def add(self, outcome: Outcome) -> None:
        """Add an outcome that is newer than those before; one across a gap is unknown."""
        if outcome.outcome_change is None or outcome.open_time_ms <= self._newest_ms:
            return
        error = outcome.calibrated_change - outcome.outcome_change
        zero = outcome.outcome_change * outcome.outcome_change
        self._errors[self._count % WINDOW] = (error * error, zero)
        self._count, self._newest_ms, self._is_computed = (
            self._count + 1,
            outcome.open_time_ms,
            False,
        )

    def skill(self) -> Skill | None:
        """Return the skill against zero change with its 95 % interval; None of too few outcomes."""
        if not self._is_computed:
            self._skill, self._is_computed = self._compute(), True
        return self._skill

    def _compute(self) -> Skill | None:
        if self._count < FEWEST:
            return None
        if self._count < WINDOW:
            rows = self._errors[: self._count]
        else:
            rows = np.roll(self._errors, -(self._count % WINDOW), axis=0)
        return skill_score(rows[:, 0], rows[:, 1])
