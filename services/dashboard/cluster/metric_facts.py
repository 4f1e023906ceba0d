"""The metrics of services as the page shows them. PURE."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Final

from services.dashboard.cluster.facts import ServiceFacts, total

Metrics = Mapping[tuple[str, str], float]
"""Values by name, without the service's prefix, and label value."""

# (suffix of a metric, suffix of the fact, factor): times are in ms on the page.
_UNITS: Final = (
    ("_timestamp_seconds", "_at_ms", 1000.0),
    ("_seconds", "_ms", 1000.0),
    ("_total", "", 1.0),
)
_PARTS_OF_A_HISTOGRAM: Final = ("_bucket", "_sum", "_created")


def metric_facts(metrics: Metrics) -> dict[str, float | None]:
    """Return metrics by name, summed over labels; of a histogram the mean and the count."""
    names = dict.fromkeys(name for name, _ in metrics)
    facts: dict[str, float | None] = {}
    for name in names:
        if name.endswith(_PARTS_OF_A_HISTOGRAM):
            continue
        value = total(v for (one, _), v in metrics.items() if one == name)
        fact, factor = _fact_name(name)
        facts[fact] = value * factor if value is not None and isfinite(value) else None
    for name in names:
        if name.endswith("_seconds_sum"):
            facts[f"{name.removesuffix('_seconds_sum')}_mean_ms"] = mean_ms(metrics, name)
    return facts


def _fact_name(name: str) -> tuple[str, float]:
    for suffix, shown, factor in _UNITS:
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix)}{shown}", factor
    return name, 1.0


def mean_ms(metrics: Metrics, sum_name: str) -> float | None:
    """Return the mean of a histogram of seconds, in ms; None without values."""
    sums = total(v for (one, _), v in metrics.items() if one == sum_name)
    count_name = f"{sum_name.removesuffix('_sum')}_count"
    counts = total(v for (one, _), v in metrics.items() if one == count_name)
    return None if sums is None or not counts else 1000.0 * sums / counts


def merged_metrics(services: Iterable[ServiceFacts]) -> dict[tuple[str, str], float]:
    """Return the sums of several services' metrics."""
    merged: dict[tuple[str, str], float] = {}
    for service in services:
        for key, value in service.metrics.items():
            merged[key] = merged.get(key, 0.0) + value
    return merged
