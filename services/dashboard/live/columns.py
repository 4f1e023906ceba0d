"""The columns of the overview, in the order in which a row has them."""

from typing import Final

COLUMNS: Final = (
    "symbol",
    "partition",
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
    "skill_since_promotion",
    "hit_rate",
    "coverage",
    "last_hit",
    "last_inside",
    "model_version",
    "steps",
    "corrections",
    "arrived_ms",
    "close_to_arrival_ms",
    "arrival_to_readable_ms",
)
Row = list[object]
