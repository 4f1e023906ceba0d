"""How well the intervals of a backtest have held, by symbol and pooled."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any, Final

import numpy as np

from shared.core.arrays import Float64s
from shared.core.evaluation.backtest import SymbolBacktest
from shared.core.evaluation.errors import TimePool
from shared.core.evaluation.skill_score import Skill, skill_score, skill_to_fields
from shared.core.online.interval_scores import COVERAGES, IntervalScores

CONSTANT: Final = "constant volatility"
EXPONENTIAL: Final = "exponentially weighted volatility"
_LOSS_COLUMNS: Final = {
    CONSTANT: "pinball_loss_constant",
    EXPONENTIAL: "pinball_loss_exponential",
}


@dataclass(frozen=True, slots=True)
class SymbolIntervals:
    """A symbol's intervals: shares covered, mean widths, and how much less they lose."""

    symbol: str
    n: int
    coverage: tuple[float, ...]  # shares, in the order of COVERAGES
    width: tuple[float, ...]  # means, fractions of the close before
    less_than: dict[str, float]  # by baseline: 1 - pinball loss / that of the baseline


@dataclass(frozen=True, slots=True)
class IntervalSummary:
    """The intervals of all symbols.

    Losses are compared moment by moment as squared errors are, each symbol's in units of what it
    loses with constant volatility, so that a quiet symbol counts as much as a volatile one.
    """

    symbols: tuple[SymbolIntervals, ...]  # sorted
    pooled: IntervalScores
    skills: dict[str, Skill | None]  # of the pinball loss against each baseline

    def coverage(self, index: int) -> float:
        """Return the share of all outcomes that lay within an interval, by its place."""
        return self.pooled.covered[index] / self.pooled.n

    def worst_coverage(self, index: int) -> tuple[float, str]:
        """Find the share that is furthest from nominal among the symbols, and its symbol."""
        nominal = COVERAGES[index] / 100
        return max(
            ((one.coverage[index], one.symbol) for one in self.symbols),
            key=lambda found: abs(found[0] - nominal),
        )

    def mean_width(self, index: int) -> float:
        """Return the mean width of an interval over symbols, a fraction."""
        return float(np.mean([one.width[index] for one in self.symbols]))

    def to_fields(self) -> dict[str, Any]:
        """Return everything as plain values."""
        levels = {
            str(coverage): {
                "covered": self.coverage(index),
                "worst": dict(zip(("covered", "symbol"), self.worst_coverage(index), strict=True)),
                "width": self.mean_width(index),
            }
            for index, coverage in enumerate(COVERAGES)
        }
        return {
            "n": self.pooled.n,
            "levels": levels,
            "pinball_loss_less_than": {
                name: skill_to_fields(skill) for name, skill in self.skills.items()
            },
            "symbols": {one.symbol: asdict(one) for one in self.symbols},
        }


def summarise_intervals(backtests: Iterable[SymbolBacktest]) -> IntervalSummary | None:
    """Summarise the intervals of the symbols that have any outcome; None if there is none."""
    known = sorted((one for one in backtests if one.interval_scores.n), key=lambda one: one.symbol)
    if not known:
        return None
    return IntervalSummary(
        tuple(_symbol_intervals(one) for one in known),
        reduce(IntervalScores.plus, [one.interval_scores for one in known]),
        {name: _skill(known, column) for name, column in _LOSS_COLUMNS.items()},
    )


def _symbol_intervals(backtest: SymbolBacktest) -> SymbolIntervals:
    scores = backtest.interval_scores
    baselines = {
        CONSTANT: scores.pinball_loss_constant,
        EXPONENTIAL: scores.pinball_loss_exponential,
    }
    return SymbolIntervals(
        backtest.symbol,
        scores.n,
        tuple(count / scores.n for count in scores.covered),
        tuple(width / scores.n for width in scores.width),
        {name: _saved(scores.pinball_loss, loss) for name, loss in baselines.items()},
    )


def _saved(loss: float, reference: float) -> float:
    return 1.0 - loss / reference if reference > 0.0 else 0.0


def _skill(backtests: list[SymbolBacktest], column: str) -> Skill | None:
    """Compare the intervals' losses with a baseline's, summed over symbols at each moment."""
    pool = TimePool(np.concatenate([_moments(one) for one in backtests]))
    losses, reference = (
        pool.sum(np.concatenate([_losses(one, name) for one in backtests]))
        for name in ("pinball_loss", column)
    )
    return skill_score(losses, reference)


def _moments(backtest: SymbolBacktest) -> Float64s:
    """Return the open times (n - 1,) of the candles whose outcome is known."""
    times: Float64s = backtest.rows["open_time_ms"][:-1].astype(np.float64)
    return times


def _losses(backtest: SymbolBacktest, column: str) -> Float64s:
    """Return a loss at each moment (n - 1,), in means of that with constant volatility."""
    # A running sum that each prediction carries: what it adds is the loss of the one before.
    losses: Float64s = np.diff(backtest.rows[column])
    scores = backtest.interval_scores
    return losses * (scores.n / max(scores.pinball_loss_constant, 1e-300))
