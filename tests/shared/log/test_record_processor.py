from dataclasses import replace

import pytest

from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.errors import BadInput, Unavailable
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState
from shared.log.record_processor import BatchResult, UnknownSymbol
from tests.support.builders import START_MS, candle_bytes
from tests.support.partition_log import (
    FIRST,
    MODELS,
    PROCESSOR,
    PROFILE,
    SECOND,
    SHORT,
    SWITCHED,
    log_of,
    process_all,
    processor_for,
    promotion_bytes,
    two_symbols,
)


def test_a_version_publishes_up_to_the_promotion_of_another_profile_and_no_further() -> None:
    live = BatchResult(process_all(SWITCHED[:60]).state)
    PROCESSOR.process(live, SWITCHED[60], publishing=True)

    with pytest.raises(
        Unavailable, match=r"from offset 61 on numeric profile 2-other predicts, this is 4-test"
    ):
        PROCESSOR.process(live, SWITCHED[61], publishing=True)

    assert live.state.next_offset == 61
    assert len(live.predictions) == 1


def test_a_promotion_of_another_profile_ends_the_old_profile_even_if_its_bundle_is_unusable() -> (
    None
):
    def refusing(version: str, _: str) -> Model:
        if version == SECOND.version:
            raise BadInput("bad_bundle", "no bundle")
        return MODELS[version]

    records = log_of(
        [
            *two_symbols(0, 20),
            (19, promotion_bytes(FIRST, PROFILE)),
            (19, promotion_bytes(SECOND, "2-other")),
        ]
    )
    theirs = replace(processor_for("2-other"), models=refusing)
    ours = replace(PROCESSOR, models=refusing)

    for processor in (theirs, ours):
        state = process_all(records, processor=processor).state
        assert state.numeric_profile == "2-other"
        assert processor.model_for(state) is None
    assert len(process_all(records, processor=theirs).dead_letters) == 1


def test_an_amendment_of_a_symbol_whose_past_was_not_replayed_is_of_an_unknown_symbol() -> None:
    state = PartitionState(next_offset=500, known_from=400)
    amendment = ConsumerRecord(0, 500, START_MS, None, candle_bytes(3, "NEWUSDT", type="amendment"))

    with pytest.raises(UnknownSymbol):
        PROCESSOR.process(BatchResult(state), amendment)


def test_a_batch_copies_the_state_once_and_leaves_the_one_before_untouched() -> None:
    before = process_all(SHORT[:60]).state
    symbols = dict(before.symbols)

    batch = BatchResult(before)
    owned = batch.state.symbols
    for record in SHORT[60:70]:
        PROCESSOR.process(batch, record)
        assert batch.state.symbols is owned

    assert batch.state.next_offset == 70
    assert (before.next_offset, before.symbols) == (60, symbols)
