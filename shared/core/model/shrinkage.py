"""A card's settings of the calibration."""

from dataclasses import dataclass

from shared.core.model.limits import check_range


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """How fast a forecast is believed. Squares and products are in units of the change scale."""

    weight: float = 4.0  # of the prior, as a sum of squared forecasts
    prior: float = 0.0  # the coefficient before anything is known
    caution: float = 0.0  # standard errors subtracted from the coefficient
    memory: float = 1.0  # factor of the sums at each outcome; 1: nothing is forgotten
    largest: float = 8.0  # an outcome beyond it counts as this much

    def __post_init__(self) -> None:
        """Reject settings that would divide by zero, or amplify."""
        for name, value, least, largest in (
            ("weight", self.weight, 1e-9, 1e9),
            ("prior", self.prior, 0.0, 1.0),
            ("caution", self.caution, 0.0, 1e3),
            ("memory", self.memory, 0.5, 1.0),
            ("largest", self.largest, 1e-3, 1e9),
        ):
            check_range(f"shrinkage {name}", value, least, largest)
