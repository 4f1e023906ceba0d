"""What is only remembered before a promotion is remembered as the fold does, bit for bit."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.online.partition import PartitionState
from shared.core.sequence import SEQUENCE_LENGTH
from shared.log.record_processor import BatchResult
from shared.log.unpredicted_records import UnpredictedRecords
from tests.support.builders import candle_bytes
from tests.support.partition_log import (
    FIRST,
    PROCESSOR,
    candles_of,
    digests,
    ends,
    lists,
    log_of,
    process_all,
    promotion_bytes,
    two_symbols,
)

SYMBOLS = ("AAAUSDT", "BBBUSDT")


@st.composite
def events(draw: st.DrawFn) -> tuple[int, bytes]:
    """Draw a record: in its place or not, of any kind but a promotion."""
    symbol, at = draw(st.sampled_from(SYMBOLS)), draw(st.integers(0, 30))
    kind = draw(st.sampled_from(["candle", "fill", "amendment", "ends", "lists", "junk"]))
    if kind == "junk":
        return at, b"junk"
    if kind in {"ends", "lists"}:
        return ends(symbol, at) if kind == "ends" else lists(symbol, at)
    close = f"{draw(st.integers(90, 110))}.5"
    return at, candle_bytes(at, symbol, close, type=kind)


@given(values=st.lists(events(), max_size=60), size=st.integers(1, 20), data=st.data())
@settings(max_examples=150, deadline=None)
def test_the_states_are_those_of_the_fold_whatever_the_blocks(
    values: list[tuple[int, bytes]], size: int, data: st.DataObject
) -> None:
    in_order = two_symbols(0, 40)
    for value in values:
        in_order.insert(data.draw(st.integers(0, len(in_order))), value)
    records = log_of(in_order)
    unpredicted, result = UnpredictedRecords(PROCESSOR), BatchResult(PartitionState())

    for start in range(0, len(records), size):
        assert not unpredicted.process(result, records[start : start + size])
    unpredicted.finish(result)

    folded = process_all(records).state
    assert digests(result.state) == digests(folded)
    assert result.state.next_offset == folded.next_offset


def test_the_newest_candles_are_kept_and_the_records_from_a_promotion_on_are_left() -> None:
    count = 3 * SEQUENCE_LENGTH + 7
    before = candles_of("AAAUSDT", 0, count, 1)
    records = log_of([*before, (count, promotion_bytes(FIRST)), *two_symbols(count, count + 3)])
    result = BatchResult(PartitionState())

    rest = UnpredictedRecords(PROCESSOR).process(result, records)

    assert rest == records[count:]
    assert digests(result.state) == digests(process_all(records[:count]).state)
    assert len(result.state.symbols["AAAUSDT"].sequence) == SEQUENCE_LENGTH
