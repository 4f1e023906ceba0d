"""What docs/reference/topics.md promises in words, seen in a log in which much happens."""

from collections import defaultdict
from itertools import pairwise
from typing import Final

from services.predictor.output_records import producer_records
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.core.records import Amendment, Candle, Fill
from shared.core.topics import partition_for
from shared.log.record_processor import BatchResult
from tests.support.builders import STEP_MS
from tests.support.recorded_log import (
    BUNDLES,
    OWN,
    TOPICS,
    build_test_processor,
    eventful_klines,
    later_klines,
    record_log,
)

KLINES: Final = [*eventful_klines(), *later_klines()]
LOG: Final = record_log(KLINES)
PROCESSOR: Final = build_test_processor(OWN, BUNDLES)


def folded() -> BatchResult:
    result = BatchResult(PartitionState(numeric_profile=OWN))
    for record in LOG.klines:
        PROCESSOR.process(result, record)
    return result


RESULT: Final = folded()


def by_symbol() -> dict[str, list[Prediction]]:
    found = defaultdict(list)
    for prediction in RESULT.predictions:
        found[prediction.symbol].append(prediction)
    return dict(found)


def test_a_prediction_is_made_from_the_candle_at_its_source_offset() -> None:
    assert len(RESULT.predictions) > 20
    for prediction in RESULT.predictions:
        candle = PROCESSOR.codec.decode(LOG.klines[prediction.source_offset].value, 0)

        assert isinstance(candle, Candle)
        assert (candle.symbol, candle.close) == (prediction.symbol, prediction.close)
        assert candle.open_time_ms == prediction.open_time_ms - STEP_MS


def test_source_offsets_only_rise_so_the_largest_tells_what_is_done() -> None:
    offsets = [prediction.source_offset for prediction in RESULT.predictions]

    assert all(before < after for before, after in pairwise(offsets))


def test_the_next_prediction_of_a_symbol_has_the_outcome() -> None:
    outcomes = 0
    for predictions in by_symbol().values():
        for before, after in pairwise(predictions):
            previous = after.previous
            if previous is None or previous.outcome_change is None:
                continue
            outcomes += 1
            assert previous.open_time_ms == before.open_time_ms
            assert previous.calibrated_change == before.calibrated_change
            assert after.open_time_ms == before.open_time_ms + STEP_MS
            change = after.close / before.close - 1.0
            was_amended = after.corrections > before.corrections
            assert previous.outcome_change == change or was_amended

    assert outcomes > 15


def test_previous_is_null_after_a_promotion() -> None:
    for predictions in by_symbol().values():
        for before, after in pairwise(predictions):
            if after.promotion_offset != before.promotion_offset:
                assert after.previous is None


def test_a_correction_shows_in_the_next_prediction_of_its_symbol() -> None:
    corrected = {
        (record.candle.symbol, offset)
        for offset, kline in enumerate(LOG.klines)
        if kline.value != b"{nonsense"
        for record in [PROCESSOR.codec.decode(kline.value, 0)]
        if isinstance(record, Amendment | Fill)
    }
    risen = {
        (after.symbol, offset)
        for predictions in by_symbol().values()
        for before, after in pairwise(predictions)
        if after.corrections > before.corrections
        for offset in range(before.source_offset, after.source_offset)
    }

    assert risen & corrected
    assert {symbol for symbol, _ in risen} <= {symbol for symbol, _ in corrected}


def test_a_record_has_the_key_partition_and_time_of_what_it_predicts() -> None:
    for record, prediction in zip(
        producer_records(RESULT, TOPICS), RESULT.predictions, strict=False
    ):
        assert record.key == prediction.symbol.encode()
        assert record.partition == partition_for(prediction.symbol, TOPICS.partitions)
        assert record.timestamp_ms == prediction.open_time_ms
        assert record.headers == []
