import pytest

from services.predictor.recovery.open_transaction import LOOKS, OpenTransactions
from shared.adapters.kafka.producer import WRITER_HEADER
from shared.adapters.kafka.reader import ConsumerRecord
from tests.support.fakes import FakeTopicHistory


def written_by(writer: bytes) -> ConsumerRecord:
    return ConsumerRecord(0, 7, 0, b"BTCUSDT", b"{}", {WRITER_HEADER: writer})


def aborted(predictions: FakeTopicHistory, settled_after: int = LOOKS) -> list[str]:
    """Return the transactional ids that were shut out."""
    found: list[str] = []
    looks = OpenTransactions(predictions, "ulstm-predictor-", found.append).end(0)
    for look, _ in enumerate(looks, 1):
        predictions.settled = look >= settled_after
    return found


def open_topic(record: ConsumerRecord | None) -> FakeTopicHistory:
    predictions = FakeTopicHistory([])
    predictions.settled, predictions.open_record = False, record
    return predictions


def test_a_transaction_that_stays_open_is_aborted_by_the_name_in_its_first_record() -> None:
    predictions = open_topic(written_by(b"ulstm-predictor-1"))

    assert aborted(predictions, settled_after=LOOKS + 1) == ["ulstm-predictor-1"]


def test_a_commit_whose_markers_are_still_written_is_waited_for() -> None:
    assert aborted(open_topic(written_by(b"ulstm-predictor-1")), settled_after=3) == []


@pytest.mark.parametrize("writer", [b"ulstm-producer-5m", b"", b"\xff\x1b[2J"])
def test_a_name_that_is_no_predictors_shuts_nobody_out(writer: bytes) -> None:
    assert aborted(open_topic(written_by(writer)), settled_after=LOOKS + 1) == []


def test_a_record_without_a_name_shuts_nobody_out() -> None:
    unsigned = ConsumerRecord(0, 7, 0, b"BTCUSDT", b"{}")

    assert aborted(open_topic(unsigned), settled_after=LOOKS + 1) == []
    assert aborted(open_topic(None), settled_after=LOOKS + 1) == []
