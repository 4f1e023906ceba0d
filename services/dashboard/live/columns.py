"""The columns of the overview, in the order in which a row has them."""

from typing import Final

COLUMNS: Final = (
    "symbol",
    "standing",
    "open_time_ms",
    "close",
    "last_change",
    "calibrated_change",
    "calibrated_close",
    "lower_change",
    "upper_change",
    "lower_close",
    "upper_close",
    "actionable",
    "skill",
    "skill_low",
    "skill_high",
    "skill_n",
    "hit_rate",
    "coverage",
    "last_hit",
    "last_inside",
    "model_version",
    "steps",
    "arrived_ms",
    "close_to_arrival_ms",
    "arrival_to_readable_ms",
)
Row = list[object]

_FRACTION_DECIMALS: Final = 7  # a thousandth of the last digit that the table shows of a change
_PRICE_DIGITS: Final = 10


def rounded_fraction(value: float | None) -> float | None:
    """Round a fraction to a little more than is shown: every browser reads each digit."""
    return None if value is None else round(value, _FRACTION_DECIMALS)


def rounded_price(value: float) -> float:
    """Round a computed price to its significant digits."""
    return float(f"{value:.{_PRICE_DIGITS}g}")
