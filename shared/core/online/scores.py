"""Running sums of the errors of a symbol's predictions, each made before its outcome was known."""

from dataclasses import astuple, dataclass
from operator import add


@dataclass(frozen=True, slots=True)
class Scores:
    """Sums since the promotion. Changes are fractions; zero change is the baseline."""

    n: int = 0
    squared_error: float = 0.0
    squared_error_zero: float = 0.0  # of the baseline
    absolute_error: float = 0.0
    absolute_error_zero: float = 0.0
    sign_hits: int = 0  # predictions with the outcome's sign, zero outcomes aside
    moves: int = 0  # outcomes that were not zero
    squared_error_calibrated: float = 0.0

    def with_outcome(self, predicted: float, calibrated: float, outcome: float) -> "Scores":
        """Return the scores with one more prediction, raw and calibrated, and its outcome."""
        error, calibrated_error = predicted - outcome, calibrated - outcome
        return Scores(
            self.n + 1,
            self.squared_error + error * error,
            self.squared_error_zero + outcome * outcome,
            self.absolute_error + abs(error),
            self.absolute_error_zero + abs(outcome),
            self.sign_hits + (predicted * outcome > 0),
            self.moves + (outcome != 0),
            self.squared_error_calibrated + calibrated_error * calibrated_error,
        )

    def plus(self, other: "Scores") -> "Scores":
        """Return the sums over two symbols."""
        return Scores(*map(add, astuple(self), astuple(other)))

    def skill(self) -> float | None:
        """Return 1 - squared error / squared error of zero change; None while the latter is 0.

        >>> Scores().with_outcome(0.5, 0.5, 1.0).skill()
        0.75
        """
        zero = self.squared_error_zero
        return 1.0 - self.squared_error / zero if zero > 0 else None

    def calibrated_skill(self) -> float | None:
        """Return the skill of the calibrated predictions."""
        zero = self.squared_error_zero
        return 1.0 - self.squared_error_calibrated / zero if zero > 0 else None
