from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.predictor.recovery.prediction_tail import (
    PublishedTail,
    next_offset,
    read_prediction_tail,
)
from services.predictor.recovery.replay import Recoveries, Recovery, from_saved
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.redis_state_store import StateSnapshot
from shared.adapters.schemas import KlineCodec, PromotionMessage, encode_prediction, encode_record
from shared.core.errors import BadInput, Incompatible, Unavailable
from shared.core.online.context import FoldContext
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.core.online.state_codec import state_digest
from shared.core.sequence import SEQUENCE_LENGTH
from shared.log.record_processor import BatchResult, RecordProcessor, UnknownSymbol
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_model, a_walk, candle_bytes
from tests.support.fakes import FakeTopicHistory

MODELS = {model.version: model for model in (a_model(1), a_model(2))}
FIRST, SECOND = MODELS.values()
PROFILE = CONTEXT.numeric_profile


def processor_for(profile: str) -> RecordProcessor:
    context = FoldContext("5m", STEP_MS, profile)
    return RecordProcessor(
        "klines.5m", KlineCodec("5m", STEP_MS, 1), context, lambda version, _: MODELS[version]
    )


PROCESSOR = processor_for(PROFILE)


def promotion(model: Model, profile: str | None = None) -> bytes:
    message = PromotionMessage(
        type="promotion",
        model_version=model.version,
        bundle_sha256=model.bundle.sha256,
        numeric_profile=profile,
    )
    return encode_record(message)


def log_of(values: Sequence[tuple[int, bytes]]) -> list[ConsumerRecord]:
    """Records by (candle number, bytes)."""
    return [
        ConsumerRecord(0, offset, START_MS + (at + 1) * STEP_MS - 1, None, value)
        for offset, (at, value) in enumerate(values)
    ]


def candles_of(symbol: str, start: int, stop: int, seed: int) -> list[tuple[int, bytes]]:
    closes = a_walk(stop, seed)
    return [(at, candle_bytes(at, symbol, f"{closes[at]:.6f}")) for at in range(start, stop)]


def two_symbols(start: int, stop: int) -> list[tuple[int, bytes]]:
    pairs = zip(
        candles_of("AAAUSDT", start, stop, 1), candles_of("BBBUSDT", start, stop, 2), strict=True
    )
    return [record for pair in pairs for record in pair]


SHORT = log_of(
    [
        *two_symbols(0, 20),
        (19, promotion(FIRST)),
        *two_symbols(20, 40),
        (39, promotion(SECOND)),
        *two_symbols(40, 60),
    ]
)
LENGTH = SEQUENCE_LENGTH + 200
LONG = log_of(
    [*two_symbols(0, LENGTH), (LENGTH - 1, promotion(FIRST)), *two_symbols(LENGTH, LENGTH + 30)]
)


def folded(
    records: Sequence[ConsumerRecord],
    group: PartitionState | None = None,
    processor: RecordProcessor = PROCESSOR,
) -> BatchResult:
    result = BatchResult(group or PartitionState())
    for record in records:
        processor.process(result, record)
    return result


def published_by(predictions: Sequence[Prediction]) -> PublishedTail:
    return PublishedTail({p.symbol: p for p in predictions})


def topic_of(predictions: Sequence[Prediction]) -> FakeTopicHistory:
    return FakeTopicHistory(
        [
            ConsumerRecord(0, i, 0, p.symbol.encode(), encode_prediction(p))
            for i, p in enumerate(predictions)
        ]
    )


def recovered(
    klines: FakeTopicHistory | Sequence[ConsumerRecord],
    published: FakeTopicHistory | Sequence[Prediction],
    committed: int | None,
    base: PartitionState | None = None,
    processor: RecordProcessor = PROCESSOR,
) -> PartitionState:
    klines = klines if isinstance(klines, FakeTopicHistory) else FakeTopicHistory(klines)
    published = published if isinstance(published, FakeTopicHistory) else topic_of(published)
    saved = None if base is None else saved_of(base)
    return finished(Recoveries(processor, klines, published).recovery(0, committed, saved))


def saved_of(group: PartitionState) -> StateSnapshot:
    return StateSnapshot(
        group.next_offset,
        group.promotion_offset,
        group.model_version,
        group.symbols,
        group.known_from,
    )


def finished(recovery: Recovery) -> PartitionState:
    while True:
        try:
            next(recovery)
        except StopIteration as done:
            group: PartitionState = done.value
            return group


def digests(group: PartitionState) -> dict[str, str]:
    return {symbol: state_digest(state) for symbol, state in group.symbols.items()}


@given(st.integers(0, len(SHORT)), st.data())
@settings(max_examples=40, deadline=None)
def test_recovery_at_any_offset_from_any_saved_state_goes_on_with_the_same_bytes(
    at: int, data: st.DataObject
) -> None:
    live = folded(SHORT)
    before = folded(SHORT[:at])
    saved = data.draw(st.none() | st.integers(0, at))
    base = None if saved is None else folded(SHORT[:saved]).state

    group = recovered(SHORT, before.predictions, at, base)

    assert digests(group) == digests(before.state)
    assert before.predictions + folded(SHORT[at:], group).predictions == live.predictions


def test_a_rebuild_starts_one_sequence_before_the_last_promotion() -> None:
    before = folded(LONG[:-3])
    history = FakeTopicHistory(LONG)

    group = recovered(history, before.predictions, len(LONG) - 3)

    assert digests(group) == digests(before.state)
    assert history.first_read is not None
    assert history.first_read > 300


def test_a_symbol_that_a_short_rebuild_cannot_vouch_for_makes_it_read_everything() -> None:
    young = candles_of(
        "CCCUSDT", LENGTH - 5, LENGTH, 3
    )  # too young to have predictions, or a full sequence
    records = log_of(
        [
            *two_symbols(0, LENGTH),
            *young,
            (LENGTH - 1, promotion(FIRST)),
            *two_symbols(LENGTH, LENGTH + 5),
        ]
    )
    before = folded(records)
    history = FakeTopicHistory(records)

    group = recovered(history, before.predictions, len(records))

    assert digests(group) == digests(before.state)
    assert history.first_read == 0


def test_a_log_that_does_not_give_what_was_published_is_refused() -> None:
    before = folded(SHORT[:70])
    wrong = [replace(p, predicted_change=p.predicted_change + 1e-9) for p in before.predictions]

    with pytest.raises(Incompatible, match="does not give what was published"):
        recovered(SHORT, wrong, 70)


def test_nothing_that_was_predicted_is_predicted_again() -> None:
    published = published_by(folded(SHORT[:70]).predictions)

    assert next_offset(None, published, (0, 100), 0) == 70
    assert next_offset(64, published, (0, 100), 0) == 70
    assert next_offset(80, published, (0, 100), 0) == 80
    assert next_offset(None, PublishedTail({}), (0, 100), 0) == 0


def test_a_log_shorter_than_what_was_read_of_it_is_refused() -> None:
    with pytest.raises(Incompatible, match="read up to offset 50, its klines end at 10"):
        next_offset(50, PublishedTail({}), (0, 10), 0)


def test_a_log_whose_next_record_was_deleted_is_refused() -> None:
    with pytest.raises(Incompatible, match="read up to offset 5, its klines begin at 8"):
        next_offset(5, PublishedTail({}), (8, 10), 0)


def test_the_last_prediction_of_each_symbol_is_read_back() -> None:
    predictions = folded(SHORT).predictions

    published = read_prediction_tail(topic_of(predictions), 0)

    assert published == published_by(predictions)


def test_something_else_on_the_predictions_topic_is_refused() -> None:
    with pytest.raises(Incompatible, match="is no prediction"):
        read_prediction_tail(FakeTopicHistory([ConsumerRecord(0, 0, 0, b"x", b"{}")]), 0)


def test_another_numeric_profile_is_never_mixed_in() -> None:
    with pytest.raises(
        Incompatible, match=r"1-test predicts, this is 2-other.*ulstm models promote"
    ):
        recovered(SHORT, folded(SHORT[:70]).predictions, 70, processor=processor_for("2-other"))


SWITCHED = log_of(
    [
        *two_symbols(0, 20),
        (19, promotion(FIRST)),
        *two_symbols(20, 30),
        (29, promotion(FIRST, "2-other")),
        *two_symbols(30, 40),
        (39, promotion(SECOND, PROFILE)),
        *two_symbols(40, 50),
    ]
)
PROFILES = (PROFILE, "2-other")


def ruling(at: int) -> str:
    """The profile that predicts from the record at an offset on."""
    switches = [61, 82]
    return PROFILES[sum(at > switch for switch in switches) % 2]


def published_before(at: int) -> list[Prediction]:
    """What versions of either profile have published."""
    prehistory = PartitionState(numeric_profile=PROFILE)  # promotions named no profile then
    both = [
        p
        for name in PROFILES
        for p in folded(SWITCHED[:at], prehistory, processor_for(name)).predictions
    ]
    return sorted(both, key=lambda p: p.source_offset)


@given(st.integers(42, len(SWITCHED)), st.sampled_from(PROFILES), st.data())
@settings(max_examples=60, deadline=None)
def test_a_version_goes_on_where_its_profile_predicts_or_is_about_to_and_nowhere_else(
    at: int, profile: str, data: st.DataObject
) -> None:
    published = published_before(at)
    processor = processor_for(profile)
    stretch = [o for o in range(at + 1) if ruling(o) == profile and o > 41]
    saved = data.draw(st.none() | st.sampled_from(stretch)) if stretch else None
    prehistory = PartitionState(numeric_profile=PROFILE)
    base = None if saved is None else folded(SWITCHED[:saved], prehistory, processor).state

    if profile not in {ruling(at), ruling(at + 1)}:
        with pytest.raises(Incompatible, match=f"{ruling(at)} predicts, this is {profile}"):
            recovered(SWITCHED, published, at, base, processor)
        return
    group = recovered(SWITCHED, published, at, base, processor)

    later = [
        p
        for p in published_before(len(SWITCHED))
        if p.source_offset >= at and p.numeric_profile == profile
    ]
    assert folded(SWITCHED[at:], group, processor).predictions == later


def test_a_version_publishes_up_to_the_promotion_of_another_profile_and_no_further() -> None:
    live = BatchResult(folded(SWITCHED[:60]).state)
    PROCESSOR.process(live, SWITCHED[60], publishing=True)

    with pytest.raises(
        Unavailable, match=r"from offset 61 on numeric profile 2-other predicts, this is 1-test"
    ):
        PROCESSOR.process(live, SWITCHED[61], publishing=True)

    assert live.state.next_offset == 61
    assert len(live.predictions) == 1


def test_a_symbol_that_has_not_predicted_since_the_switch_does_not_hold_the_others_up() -> None:
    quiet, theirs = candles_of("CCCUSDT", 0, 25, 3), processor_for("2-other")
    old = [*quiet[:20], (19, promotion(FIRST, PROFILE)), *quiet[20:]]
    records = log_of(
        [
            *old,
            *two_symbols(25, 40),
            (39, promotion(FIRST, "2-other")),
            *candles_of("AAAUSDT", 40, 42, 1),
        ]
    )
    before = folded(records[: len(old)]).predictions
    after = folded(records, processor=theirs).predictions
    assert {p.symbol: p.numeric_profile for p in [*before, *after]} == {
        "CCCUSDT": PROFILE,
        "AAAUSDT": "2-other",
    }

    group = recovered(records, [*before, *after], len(records), processor=theirs)

    assert digests(group) == digests(folded(records, processor=theirs).state)


def test_a_promotion_of_another_profile_with_an_unusable_bundle_ends_the_old_profile_all_the_same() -> (
    None
):
    def refusing(version: str, _: str) -> Model:
        if version == SECOND.version:
            raise BadInput("bad_bundle", "no bundle")
        return MODELS[version]

    records = log_of(
        [*two_symbols(0, 20), (19, promotion(FIRST, PROFILE)), (19, promotion(SECOND, "2-other"))]
    )
    theirs = replace(processor_for("2-other"), models=refusing)
    ours = replace(PROCESSOR, models=refusing)

    for processor in (theirs, ours):
        group = folded(records, processor=processor).state
        assert group.numeric_profile == "2-other"
        assert processor.model_for(group) is None
    assert len(folded(records, processor=theirs).dead_letters) == 1


def test_redis_is_used_only_as_far_as_the_log_was_committed() -> None:
    before = folded(SHORT[:70])
    published = published_by(before.predictions)

    assert from_saved(saved_of(before.state), 70, published, PROFILE) is not None
    assert from_saved(saved_of(folded(SHORT[:60]).state), 70, published, PROFILE) is not None
    assert from_saved(saved_of(folded(SHORT[:75]).state), 70, published, PROFILE) is None
    assert from_saved(None, 70, published, PROFILE) is None


def test_a_state_of_another_history_is_not_used() -> None:
    before = folded(SHORT[:70])
    other = [replace(p, predicted_change=0.5) for p in before.predictions]

    assert from_saved(saved_of(before.state), 70, published_by(other), PROFILE) is None


def test_redis_that_runs_ahead_of_what_was_published_is_not_used() -> None:
    before = folded(SHORT[:70])

    assert (
        from_saved(saved_of(before.state), 70, published_by(before.predictions[:-1]), PROFILE)
        is None
    )
    assert from_saved(saved_of(before.state), 70, published_by([]), PROFILE) is None


def lost(count: int) -> list[Prediction]:
    predictions = folded(SHORT[:100]).predictions
    return predictions[: len(predictions) - count]


@given(st.integers(1, len(lost(0))), st.none() | st.integers(60, 100))
@settings(max_examples=30, deadline=None)
def test_predictions_that_lost_their_end_are_made_again(count: int, saved: int | None) -> None:
    before = lost(count)
    base = None if saved is None else folded(SHORT[:saved]).state

    group = recovered(SHORT, before, 100, base)

    assert (
        before + folded(SHORT[group.next_offset :], group).predictions == folded(SHORT).predictions
    )


def test_nothing_is_made_again_while_a_transaction_may_still_show_it() -> None:
    published = topic_of(lost(1))
    published.settled = False

    with pytest.raises(Unavailable, match="transaction on its predictions is open"):
        recovered(SHORT, published, 100)


def test_predictions_with_a_hole_in_their_middle_are_refused() -> None:
    predictions = lost(0)

    with pytest.raises(
        Incompatible, match=r"the prediction from offset \d+ is missing, later ones are there"
    ):
        recovered(SHORT, [p for p in predictions if p.symbol != "BBBUSDT"][:-1], 100)


def restored(
    records: Sequence[ConsumerRecord], shift: int = 0, close: str | None = None
) -> FakeTopicHistory:
    """The same candles at other offsets, or other candles at the same offsets."""
    moved = [r._replace(offset=r.offset + shift) for r in records]
    if close is not None:
        moved = [r._replace(value=candle_bytes(r.offset // 2, close=close)) for r in moved]
    return FakeTopicHistory(moved, len(records) + shift)


@pytest.mark.parametrize("with_redis", [False, True])
@pytest.mark.parametrize(("shift", "close"), [(1, None), (2, None), (0, "7.5")])
def test_klines_made_anew_are_refused_however_long(
    shift: int, close: str | None, with_redis: bool
) -> None:
    before = folded(SHORT[:70])

    with pytest.raises(Incompatible, match="does not lie there now: the topic was made anew"):
        recovered(
            restored(SHORT, shift, close),
            before.predictions,
            70,
            before.state if with_redis else None,
        )


def test_a_rebuild_that_needs_what_was_deleted_is_refused() -> None:
    before = folded(SHORT[:70])

    assert digests(
        recovered(FakeTopicHistory(SHORT, first=65), before.predictions, 70, before.state)
    ) == digests(before.state)
    with pytest.raises(
        Incompatible, match=r"klines from offset .* on are needed; they begin at 65"
    ):
        recovered(FakeTopicHistory(SHORT, first=65), before.predictions, 70)


def test_predictions_that_were_all_deleted_are_refused() -> None:
    with pytest.raises(Incompatible, match="nobody knows what was published"):
        read_prediction_tail(FakeTopicHistory([], end=50, first=50), 0)


def test_a_partition_that_was_added_while_running_is_left_alone_and_named() -> None:
    history = FakeTopicHistory([])

    with pytest.raises(
        Unavailable, match="has a partition 1, SYMBOL_GROUPS is 1: partitions were added"
    ):
        finished(Recoveries(PROCESSOR, history, history).recovery(1, None, None))


def test_an_amendment_of_a_symbol_whose_past_was_not_read_makes_the_group_be_read_whole() -> None:
    group = PartitionState(next_offset=500, known_from=400)
    amendment = ConsumerRecord(0, 500, START_MS, None, candle_bytes(3, "NEWUSDT", type="amendment"))

    with pytest.raises(UnknownSymbol):
        PROCESSOR.process(BatchResult(group), amendment)
