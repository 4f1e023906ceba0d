"""The metrics of services as the page shows them. PURE."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Final

from services.dashboard.cluster.facts import ServiceFacts, total

Metrics = Mapping[tuple[str, str], float]
"""Values by name, without the service's prefix, and label value."""

_TIME: Final = "_timestamp_seconds"
# (suffix of a metric, suffix of the fact, factor): times are in ms on the page.
_UNITS: Final = ((_TIME, "_at_ms", 1000.0), ("_seconds", "_ms", 1000.0))
_PROCESS: Final = {
    "process_start_time_seconds": f"started{_TIME}",
    "process_resident_memory_bytes": "memory_bytes",
    "process_cpu_seconds_total": "cpu_seconds",
    "process_open_fds": "open_files",
}
_LEFT_OUT: Final = (
    # Parts of a histogram, of which the mean is shown.
    *("_bucket", "_sum", "_count", "_created"),
    # What says nothing as one number, or what the page shows elsewhere.
    *("_info", "covered_outcomes", "squared_error", "squared_error_zero", "ready"),
)


def metric_facts(metrics: Metrics) -> dict[str, float | None]:
    """Return metrics by name, summed over labels; of a histogram the mean and the count."""
    facts: dict[str, float | None] = {}
    for name in dict.fromkeys(name for name, _ in metrics):
        if name.endswith("_seconds_sum"):
            facts[f"{name.removesuffix('_seconds_sum')}_mean_ms"] = mean_ms(metrics, name)
        own_name = _PROCESS.get(name, name)
        if own_name.startswith("process_") or own_name.endswith(_LEFT_OUT):
            continue
        value = _joined(own_name, [v for (one, _), v in metrics.items() if one == name])
        fact, factor = _fact_name(own_name)
        facts[fact] = value * factor if isfinite(value) else None
    return facts


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


def _joined(name: str, values: list[float]) -> float:
    """Return one value for all labels: the newest time, the sum of anything else."""
    return max(values) if name.endswith(_TIME) else sum(values)


def _fact_name(name: str) -> tuple[str, float]:
    short = name.removesuffix("_total")
    for suffix, shown, factor in _UNITS:
        if short.endswith(suffix):
            return f"{short.removesuffix(suffix)}{shown}", factor
    return short, 1.0
