"""How much of a raw forecast has been borne out so far: its shrinkage towards zero change."""

from dataclasses import dataclass
from math import sqrt

from shared.core.errors import BadInput


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """A card's settings of the calibration; squares and products are on the network's scale."""

    weight: float = 4.0  # of the prior, as a sum of squared forecasts
    prior: float = 0.0  # the coefficient before anything is known
    caution: float = 0.0  # standard errors taken off the coefficient
    memory: float = 1.0  # of the sums, by each outcome; 1: they forget nothing
    largest: float = 8.0  # an outcome beyond it counts as much as one there
    confidence: float = 1.645  # standard errors of the gain that make a forecast actionable
    patience: int = 288  # outcomes before any forecast is

    def __post_init__(self) -> None:
        """Refuse what would divide by zero, or amplify."""
        for name, value, least, most in (
            ("weight", self.weight, 1e-9, 1e9),
            ("prior", self.prior, 0.0, 1.0),
            ("caution", self.caution, 0.0, 1e3),
            ("memory", self.memory, 0.5, 1.0),
            ("largest", self.largest, 1e-3, 1e9),
            ("confidence", self.confidence, 0.0, 1e3),
            ("patience", self.patience, 0, 10**9),
        ):
            if not least <= value <= most:
                message = f"shrinkage {name} is {value}; allowed: {least:g} to {most:g}. Rebuild the model within these"
                raise BadInput("bad_bundle", message)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A regression through the origin of outcomes on forecasts, each made before its outcome was known.

    With a normal prior this is the mean of the coefficient's posterior (ridge regression of one variable).
    """

    outcomes: int = 0
    products: float = 0.0  # of forecast and outcome
    squares: float = 0.0  # of forecasts
    gains: float = 0.0  # squared error of zero change less that of the calibrated forecast
    gain_squares: float = 0.0

    def coefficient(self, shrinkage: Shrinkage) -> float:
        """Return what the raw forecast is multiplied with, in [0, 1].

        >>> Calibration(products=1.0, squares=2.0).coefficient(Shrinkage(weight=2.0))
        0.25
        """
        known = self.squares + shrinkage.weight
        found = (self.products + shrinkage.weight * shrinkage.prior) / known
        return min(1.0, max(0.0, found - shrinkage.caution / sqrt(known)))

    def is_shown(self, shrinkage: Shrinkage) -> bool:
        """Say whether the calibrated forecast has been better than zero change beyond chance.

        The gains' mean is above zero by so many of its standard errors: Diebold and Mariano's statistic, without
        autocorrelation, as forecasts reach one candle ahead.
        """
        enough = self.outcomes >= shrinkage.patience
        return enough and self.gains > shrinkage.confidence * sqrt(self.gain_squares)

    def with_outcome(self, forecast: float, outcome: float, shrinkage: Shrinkage) -> "Calibration":
        """Return the calibration with one more raw forecast and its outcome, both on the network's scale."""
        reached = min(shrinkage.largest, max(-shrinkage.largest, outcome))
        calibrated = forecast * self.coefficient(shrinkage)
        gain = reached * reached - (reached - calibrated) * (reached - calibrated)
        m = shrinkage.memory
        return Calibration(
            self.outcomes + 1,
            m * self.products + forecast * reached,
            m * self.squares + forecast * forecast,
            m * self.gains + gain,
            m * self.gain_squares + gain * gain,
        )
