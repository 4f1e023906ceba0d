"""Read metrics in Prometheus' text format."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from shared.core.errors import BadInput

MAX_PAGE_BYTES: Final = 4 * 1024 * 1024


class MetricSample(NamedTuple):
    """A value of a metric; a histogram gives several, such as `..._count` and `..._sum`."""

    name: str
    labels: Mapping[str, str]
    value: float


def parse_metrics(page: bytes) -> list[MetricSample]:
    """Return the samples of a page of metrics.

    Raises:
        BadInput: it is no such page, or too large.
    """
    if len(page) > MAX_PAGE_BYTES:
        raise BadInput("bad_size", f"a page of metrics has at most {MAX_PAGE_BYTES} bytes")
    try:
        families = list(text_string_to_metric_families(page.decode()))
    except (ValueError, KeyError, IndexError) as error:
        raise BadInput("bad_metrics", f"no page of metrics: {error}") from error
    return [
        MetricSample(sample.name, sample.labels, sample.value)
        for family in families
        for sample in family.samples
    ]
