"""Read metrics in Prometheus' text format."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from shared.core.errors import BadInput

MAX_PAGE_BYTES: Final = 4 * 1024 * 1024
MAX_PAGE_LINES: Final = 40_000
MAX_LINE_BYTES: Final = 4_096


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
    if len(page) > MAX_PAGE_BYTES or page.count(b"\n") > MAX_PAGE_LINES:
        limits = f"{MAX_PAGE_BYTES} bytes and {MAX_PAGE_LINES} lines"
        raise BadInput("bad_size", f"a page of metrics has at most {limits}")
    if max(map(len, page.split(b"\n"))) > MAX_LINE_BYTES:
        # The parser's time grows with the square of a line's length.
        message = f"a line of a page of metrics has at most {MAX_LINE_BYTES} bytes"
        raise BadInput("bad_size", message)
    try:
        families = list(text_string_to_metric_families(page.decode()))
    except (ValueError, KeyError, IndexError) as error:
        raise BadInput("bad_metrics", f"no page of metrics: {str(error)[:200]}") from error
    return [
        MetricSample(sample.name, sample.labels, sample.value)
        for family in families
        for sample in family.samples
    ]
