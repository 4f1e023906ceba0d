"""Running sums of how well a symbol's intervals have held, each made before its outcome."""

from dataclasses import dataclass
from operator import add
from typing import Final

from shared.core.online.quantiles import Quantiles, pinball_loss

COVERAGES: Final = (50, 80, 90, 95)  # per cent, from the innermost interval outwards
LARGEST_MISS: Final = 5.0  # widths of the outermost interval: a loss counts no further outcome


@dataclass(frozen=True, slots=True)
class IntervalScores:
    """Sums over published intervals. Changes, losses and widths are fractions.

    An outcome counts as at most five widths of the outermost interval beyond it, so that no single
    candle decides about a symbol.
    """

    n: int = 0
    covered: tuple[int, ...] = (0,) * len(COVERAGES)  # outcomes within each interval, bounds too
    width: tuple[float, ...] = (0.0,) * len(COVERAGES)  # upper less lower bound
    pinball_loss: float = 0.0  # mean of the eight bounds
    pinball_loss_constant: float = 0.0  # the same with constant volatility
    pinball_loss_exponential: float = 0.0  # the same with exponentially weighted volatility

    def with_outcome(
        self, bounds: Quantiles, constant: Quantiles, exponential: Quantiles, change: float
    ) -> "IntervalScores":
        """Return the scores with one more outcome.

        Args:
            bounds: the bounds published, as quantiles of the change.
            constant: those that constant volatility would have given.
            exponential: those that exponentially weighted volatility would have given.
            change: the outcome.
        """
        b025, b05, b10, b25, b75, b90, b95, b975 = bounds
        n50, n80, n90, n95 = self.covered
        w50, w80, w90, w95 = self.width
        reach = LARGEST_MISS * (b975 - b025)
        bounded = min(max(change, b025 - reach), b975 + reach)
        return IntervalScores(
            self.n + 1,
            (
                n50 + (b25 <= change <= b75),
                n80 + (b10 <= change <= b90),
                n90 + (b05 <= change <= b95),
                n95 + (b025 <= change <= b975),
            ),
            (w50 + (b75 - b25), w80 + (b90 - b10), w90 + (b95 - b05), w95 + (b975 - b025)),
            self.pinball_loss + pinball_loss(bounds, bounded),
            self.pinball_loss_constant + pinball_loss(constant, bounded),
            self.pinball_loss_exponential + pinball_loss(exponential, bounded),
        )

    def plus(self, other: "IntervalScores") -> "IntervalScores":
        """Return the sums over two symbols."""
        return IntervalScores(
            self.n + other.n,
            tuple(map(add, self.covered, other.covered)),
            tuple(map(add, self.width, other.width)),
            self.pinball_loss + other.pinball_loss,
            self.pinball_loss_constant + other.pinball_loss_constant,
            self.pinball_loss_exponential + other.pinball_loss_exponential,
        )
