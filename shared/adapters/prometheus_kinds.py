"""Kinds of metrics beside those of the client: totals counted elsewhere, labels that go."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from math import inf

from prometheus_client import Counter, Gauge
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class RunningTotal:
    """A counter that follows totals which are counted elsewhere, one for each label value."""

    def __init__(self, counter: Counter) -> None:
        """Take the counter, which has one label or none."""
        self._counter = counter
        self._reported: dict[str, float] = {}

    def update(self, total: float) -> None:
        """Raise a counter without labels to a total; one that is lower has begun anew."""
        self._raise(self._counter, "", total)

    def update_all(self, totals: Mapping[str, float]) -> None:
        """Raise a counter with a label to totals, given by label value."""
        for value, total in totals.items():
            self._raise(self._counter.labels(value), value, total)

    def _raise(self, counter: Counter, value: str, total: float) -> None:
        before = self._reported.get(value, 0.0)
        counter.inc(total - before if total >= before else total)
        self._reported[value] = total


class LabelledGauge:
    """A gauge with one label whose values come and go."""

    def __init__(self, gauge: Gauge) -> None:
        """Take the gauge."""
        self._gauge = gauge
        self._shown: frozenset[str] = frozenset()

    def show(self, values: Mapping[str, float]) -> None:
        """Show these values, by label value, and no others."""
        for value, number in values.items():
            self._gauge.labels(value).set(number)
        for gone in self._shown - values.keys():
            self._gauge.remove(gone)
        self._shown = frozenset(values)


class BulkHistogram(Collector):
    """A histogram that takes many equal values at once: the client's own takes one by one."""

    def __init__(self, name: str, text: str, buckets: Iterable[float]) -> None:
        """Start empty; `buckets` are the upper bounds, in rising order."""
        self._name, self._text = name, text
        self._bounds = (*buckets, inf)
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        """Count a value so many times."""
        self._counts[bisect_left(self._bounds, value)] += count
        self._sum += value * count

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the histogram as it is now."""
        names = map(floatToGoString, self._bounds)
        buckets = list(zip(names, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._name, self._text, buckets, self._sum)
