"""Pages of metrics as other programs serve them, and anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.prometheus import Telemetry
from shared.adapters.prometheus_text import MAX_PAGE_BYTES, parse_metrics
from shared.core.errors import BadInput


def test_a_service_s_own_page_is_read() -> None:
    telemetry = Telemetry("predictor")
    telemetry.counter("aborts_total", "Aborts.", "reason").labels("refused").inc(3)
    telemetry.histogram("batch_seconds", "Batches.").observe(0.2)

    samples = parse_metrics(telemetry.answer("/metrics")[2])

    found = {(one.name, tuple(one.labels.values())): one.value for one in samples}
    assert found["ulstm_predictor_aborts_total", ("refused",)] == 3
    assert found["ulstm_predictor_batch_seconds_count", ()] == 1


@pytest.mark.parametrize(
    "page",
    [
        b"\xff\xfe",
        b"<html><body>no metrics</body></html>",
        b'{"a": 1}',
        b"name not_a_number",
        b'name{label="open} 1',
        b"a" * (MAX_PAGE_BYTES + 1),
    ],
)
def test_what_is_no_page_of_metrics_is_refused(page: bytes) -> None:
    with pytest.raises(BadInput):
        parse_metrics(page)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(page: bytes) -> None:
    try:
        parse_metrics(page)
    except BadInput:
        return
