"""A card's settings of the intervals, fitted to many symbols at once."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from shared.core.model.limits import check_range, reject_bundle

MEANS: Final = 5  # inputs of the volatility forecast: see `shared/core/online/volatility.py`
QUANTILES: Final = 8  # at 2.5, 5, 10, 25, 75, 90, 95 and 97.5 %
HOURS: Final = 24
PARTS_OF_AN_HOUR: Final = 12  # five minutes each


_WEIGHTS: Final = (0.0615, 0.252, 0.0858, 0.2222, 0.0935)
_HOURS: Final = (
    *(1.0683, 1.0228, 0.9714, 0.9186, 0.8959, 0.8872, 0.8968, 0.919),
    *(0.9507, 0.9479, 0.9161, 0.9322, 0.977, 1.1137, 1.2356, 1.2223),
    *(1.171, 1.0917, 1.0399, 0.9961, 0.9856, 0.9613, 0.971, 0.908),
)
_PARTS: Final = (
    *(1.1501, 1.0314, 0.9571, 1.0576, 0.9895, 0.9271),
    *(1.0822, 1.0021, 0.938, 1.0243, 0.951, 0.8896),
)
_QUANTILES: Final = (-2.5563, -2.0793, -1.5845, -0.8367, 0.7988, 1.5656, 2.0766, 2.5767)


@dataclass(frozen=True, slots=True)
class IntervalSettings:
    """Where each symbol's volatility forecast and quantiles start.

    The defaults were fitted to 40 spot symbols, 5m, January to March 2025; the trainer fits others
    (`services/trainer/interval_fit.py`).
    """

    weights: tuple[float, ...] = _WEIGHTS  # of the means of `shared/core/online/volatility.py`
    hours: tuple[float, ...] = _HOURS  # how active an hour is, UTC; 1 is the day's mean
    parts_of_an_hour: tuple[float, ...] = _PARTS  # the same by five minutes of the hour
    quantiles: tuple[float, ...] = _QUANTILES  # of changes in units of their forecast
    change: float = 0.0024  # mean absolute change of a candle, before any is known
    true_range: float = 0.0045

    def __post_init__(self) -> None:
        """Reject settings that would give bounds out of order, or none."""
        _check_tuple("interval weights", self.weights, MEANS, 0.0, 10.0)
        _check_tuple("interval hours", self.hours, HOURS, 0.05, 20.0)
        _check_tuple("interval parts of an hour", self.parts_of_an_hour, PARTS_OF_AN_HOUR, 0.05, 20)
        _check_tuple("interval quantiles", self.quantiles, QUANTILES, -1e3, 1e3)
        check_range("interval change", self.change, 1e-6, 1.0)
        check_range("interval true range", self.true_range, 1e-6, 1.0)
        if not sum(self.weights) > 0.0:
            reject_bundle("sum of the interval weights", 0.0, "above 0")
        if any(lower > upper for lower, upper in pairwise(self.quantiles)):
            reject_bundle("interval quantiles", self.quantiles, "a rising order")


def _check_tuple(
    setting: str, values: tuple[float, ...], length: int, least: float, largest: float
) -> None:
    if len(values) != length:
        reject_bundle(f"length of {setting}", len(values), str(length))
    for value in values:
        check_range(setting, value, least, largest)
