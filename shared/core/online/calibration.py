"""How much of a raw forecast to publish: its shrinkage towards zero change."""

from dataclasses import dataclass
from math import sqrt

from shared.core.model.shrinkage import Shrinkage


@dataclass(frozen=True, slots=True)
class Calibration:
    """A regression through the origin of outcomes on forecasts made before they were known.

    With a normal prior this is the mean of the coefficient's posterior, that is ridge regression
    (Hoerl and Kennard 1970) of one variable.
    """

    outcomes: int = 0
    products: float = 0.0  # sum of forecast x outcome
    squares: float = 0.0  # sum of forecast**2

    def coefficient(self, shrinkage: Shrinkage) -> float:
        """Return the factor of the raw forecast, in [0, 1].

        >>> Calibration(products=1.0, squares=2.0).coefficient(Shrinkage(weight=2.0))
        0.25
        """
        precision = self.squares + shrinkage.weight
        mean = (self.products + shrinkage.weight * shrinkage.prior) / precision
        return min(1.0, max(0.0, mean - shrinkage.caution / sqrt(precision)))

    def with_outcome(self, forecast: float, outcome: float, shrinkage: Shrinkage) -> "Calibration":
        """Return the calibration after one more outcome.

        Args:
            forecast: the raw forecast, in units of the change scale.
            outcome: the change, in the same units.
            shrinkage: the card's settings.
        """
        bounded = min(shrinkage.largest, max(-shrinkage.largest, outcome))
        memory = shrinkage.memory
        return Calibration(
            self.outcomes + 1,
            memory * self.products + forecast * bounded,
            memory * self.squares + forecast * forecast,
        )
