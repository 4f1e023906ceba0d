from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.predictor.recovery.open_transaction import OpenTransactions
from services.predictor.recovery.partition_recovery import (
    PartitionRecovery,
    Restoration,
    RestoredState,
)
from shared.adapters.kafka.consumer_group import Batch
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.errors import Incompatible, Unavailable
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.core.sequence import SEQUENCE_LENGTH
from shared.log.record_processor import RecordProcessor
from tests.support.builders import candle_bytes
from tests.support.fakes import FakeStateStore, FakeTopicHistory
from tests.support.partition_log import (
    EVENTFUL,
    FIRST,
    PROCESSOR,
    PROFILE,
    PROFILES,
    SHORT,
    SWITCHED,
    candles_of,
    digests,
    ends,
    lists,
    log_of,
    process_all,
    processor_for,
    promotion_bytes,
    topic_of,
    two_symbols,
)


@dataclass
class CommittedOffset:
    """A consumer state that only has a committed offset."""

    offset: int | None

    def is_member(self) -> bool:
        raise NotImplementedError

    def committed(self, partition: int) -> int | None:
        return self.offset

    def poll(self, max_records: int, timeout_s: float) -> Batch | None:
        raise NotImplementedError

    def end_offset(self, partition: int) -> int | None:
        raise NotImplementedError

    def pause(self, partition: int) -> None:
        raise NotImplementedError

    def resume(self, partition: int, offset: int) -> None:
        raise NotImplementedError


LENGTH = SEQUENCE_LENGTH + 200


LONG = log_of(
    [
        *two_symbols(0, LENGTH),
        (LENGTH - 1, promotion_bytes(FIRST)),
        *two_symbols(LENGTH, LENGTH + 30),
    ]
)


def restore(
    klines: FakeTopicHistory | Sequence[ConsumerRecord],
    published: FakeTopicHistory | Sequence[Prediction],
    committed: int | None,
    base: PartitionState | None = None,
    processor: RecordProcessor = PROCESSOR,
    skipped: Collection[int] = (),
) -> PartitionState:
    klines = klines if isinstance(klines, FakeTopicHistory) else FakeTopicHistory(klines)
    published = published if isinstance(published, FakeTopicHistory) else topic_of(published)
    states = FakeStateStore()
    if base is not None:
        profile = processor.context.numeric_profile
        states.save(0, profile, base, base.symbols, None)
    recovery = PartitionRecovery(
        processor,
        CommittedOffset(committed),
        klines,
        published,
        FakeTopicHistory([]),
        states,
        OpenTransactions(published, "predictor-", lambda _: None),
        lambda _: skipped,
    )
    return run_to_end(recovery.restore(0))


def run_to_end(restoration: Restoration) -> PartitionState:
    while True:
        try:
            next(restoration)
        except StopIteration as done:
            restored: RestoredState = done.value
            return restored.state


@pytest.mark.parametrize("log", [SHORT, EVENTFUL], ids=["candles", "corrections and ends"])
@given(data=st.data())
@settings(max_examples=40)
def test_recovery_at_any_offset_from_any_saved_state_continues_with_the_same_bytes(
    log: list[ConsumerRecord], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(log)))
    live = process_all(log)
    before = process_all(log[:at])
    saved = data.draw(st.none() | st.integers(0, at))
    base = None if saved is None else process_all(log[:saved]).state

    state = restore(log, before.predictions, at, base)

    assert digests(state) == digests(before.state)
    assert before.predictions + process_all(log[at:], state).predictions == live.predictions


def test_a_replay_starts_one_sequence_before_the_last_promotion() -> None:
    before = process_all(LONG[:-3])
    history = FakeTopicHistory(LONG)

    state = restore(history, before.predictions, len(LONG) - 3)

    assert digests(state) == digests(before.state)
    assert history.first_read is not None
    assert history.first_read > 300


def assert_restored_by_a_short_replay(records: list[ConsumerRecord]) -> None:
    before = process_all(records)
    history = FakeTopicHistory(records)

    state = restore(history, before.predictions, len(records))

    assert digests(state) == digests(before.state)
    assert history.first_read is not None
    assert history.first_read > 300


def test_a_symbol_that_has_ended_needs_no_longer_replay() -> None:
    records = log_of(
        [
            *two_symbols(0, LENGTH),
            ends("BBBUSDT", LENGTH),
            (LENGTH - 1, promotion_bytes(FIRST)),
            *candles_of("AAAUSDT", LENGTH, LENGTH + 5, 1),
            *candles_of("BBBUSDT", LENGTH + 9, LENGTH + 12, 2),
        ]
    )
    assert_restored_by_a_short_replay(records)


def test_a_new_listing_needs_no_longer_replay() -> None:
    records = log_of(
        [
            *two_symbols(0, LENGTH),
            (LENGTH - 1, promotion_bytes(FIRST)),
            lists("CCCUSDT", LENGTH),
            *candles_of("CCCUSDT", LENGTH, LENGTH + 5, 3),
            *two_symbols(LENGTH, LENGTH + 5),
        ]
    )
    assert_restored_by_a_short_replay(records)


def test_a_symbol_that_a_short_replay_does_not_prove_makes_it_replay_everything() -> None:
    young = candles_of(
        "CCCUSDT", LENGTH - 5, LENGTH, 3
    )  # too young to have predictions, or a full sequence
    records = log_of(
        [
            *two_symbols(0, LENGTH),
            *young,
            (LENGTH - 1, promotion_bytes(FIRST)),
            *two_symbols(LENGTH, LENGTH + 5),
        ]
    )
    before = process_all(records)
    history = FakeTopicHistory(records)

    state = restore(history, before.predictions, len(records))

    assert digests(state) == digests(before.state)
    assert history.first_read == 0


def test_klines_that_do_not_give_what_was_published_are_refused() -> None:
    before = process_all(SHORT[:70])
    wrong = [replace(p, predicted_change=p.predicted_change + 1e-9) for p in before.predictions]

    with pytest.raises(Incompatible, match="does not give what was published"):
        restore(SHORT, wrong, 70)


def test_another_numeric_profile_is_never_mixed_in() -> None:
    with pytest.raises(
        Incompatible, match=r"4-test predicts, this is 2-other.*ulstm models promote"
    ):
        restore(SHORT, process_all(SHORT[:70]).predictions, 70, processor=processor_for("2-other"))


def profile_at(at: int) -> str:
    """The profile that predicts from the record at an offset on."""
    switches = [61, 82]
    return PROFILES[sum(at > switch for switch in switches) % 2]


def published_before(at: int) -> list[Prediction]:
    """What versions of either profile have published."""
    prehistory = PartitionState(numeric_profile=PROFILE)  # promotions named no profile then
    both = [
        p
        for name in PROFILES
        for p in process_all(SWITCHED[:at], prehistory, processor_for(name)).predictions
    ]
    return sorted(both, key=lambda p: p.source_offset)


@given(st.integers(42, len(SWITCHED)), st.sampled_from(PROFILES), st.data())
@settings(max_examples=60)
def test_a_version_continues_where_its_profile_predicts_or_is_about_to_and_nowhere_else(
    at: int, profile: str, data: st.DataObject
) -> None:
    published = published_before(at)
    processor = processor_for(profile)
    stretch = [o for o in range(at + 1) if profile_at(o) == profile and o > 41]
    saved = data.draw(st.none() | st.sampled_from(stretch)) if stretch else None
    prehistory = PartitionState(numeric_profile=PROFILE)
    base = None if saved is None else process_all(SWITCHED[:saved], prehistory, processor).state

    if profile not in {profile_at(at), profile_at(at + 1)}:
        with pytest.raises(Incompatible, match=f"{profile_at(at)} predicts, this is {profile}"):
            restore(SWITCHED, published, at, base, processor)
        return
    state = restore(SWITCHED, published, at, base, processor)

    later = [
        p
        for p in published_before(len(SWITCHED))
        if p.source_offset >= at and p.numeric_profile == profile
    ]
    assert process_all(SWITCHED[at:], state, processor).predictions == later


def test_a_symbol_that_has_not_predicted_since_the_switch_does_not_hold_the_others_up() -> None:
    quiet, theirs = candles_of("CCCUSDT", 0, 25, 3), processor_for("2-other")
    old = [*quiet[:20], (19, promotion_bytes(FIRST, PROFILE)), *quiet[20:]]
    records = log_of(
        [
            *old,
            *two_symbols(25, 40),
            (39, promotion_bytes(FIRST, "2-other")),
            *candles_of("AAAUSDT", 40, 42, 1),
        ]
    )
    before = process_all(records[: len(old)]).predictions
    after = process_all(records, processor=theirs).predictions
    assert {p.symbol: p.numeric_profile for p in [*before, *after]} == {
        "CCCUSDT": PROFILE,
        "AAAUSDT": "2-other",
    }

    state = restore(records, [*before, *after], len(records), processor=theirs)

    assert digests(state) == digests(process_all(records, processor=theirs).state)


def lost(count: int) -> list[Prediction]:
    predictions = process_all(SHORT[:100]).predictions
    return predictions[: len(predictions) - count]


@given(st.integers(1, len(lost(0))), st.none() | st.integers(60, 100))
@settings(max_examples=30)
def test_predictions_lost_at_the_end_of_their_topic_are_published_again(
    count: int, saved: int | None
) -> None:
    before = lost(count)
    base = None if saved is None else process_all(SHORT[:saved]).state

    state = restore(SHORT, before, 100, base)

    assert (
        before + process_all(SHORT[state.next_offset :], state).predictions
        == process_all(SHORT).predictions
    )


def test_nothing_is_published_again_while_a_transaction_may_still_show_it() -> None:
    published = topic_of(lost(1))
    published.settled = False

    with pytest.raises(Unavailable, match="transaction on its predictions is open"):
        restore(SHORT, published, 100)


def test_predictions_with_a_hole_in_their_middle_are_refused() -> None:
    predictions = lost(0)

    with pytest.raises(
        Incompatible, match=r"the prediction from offset \d+ is missing, later ones are there"
    ):
        restore(SHORT, [p for p in predictions if p.symbol != "BBBUSDT"][:-1], 100)


def recreated(
    records: Sequence[ConsumerRecord], shift: int = 0, close: str | None = None
) -> FakeTopicHistory:
    """The same candles at other offsets, or other candles at the same offsets."""
    moved = [r._replace(offset=r.offset + shift) for r in records]
    if close is not None:
        moved = [r._replace(value=candle_bytes(r.offset // 2, close=close)) for r in moved]
    return FakeTopicHistory(moved, len(records) + shift)


@pytest.mark.parametrize("with_redis", [False, True])
@pytest.mark.parametrize(("shift", "close"), [(1, None), (2, None), (0, "7.5")])
def test_recreated_klines_are_refused_however_long(
    shift: int, close: str | None, with_redis: bool
) -> None:
    before = process_all(SHORT[:70])

    with pytest.raises(Incompatible, match="is not there now: the topic was recreated"):
        restore(
            recreated(SHORT, shift, close),
            before.predictions,
            70,
            before.state if with_redis else None,
        )


def test_a_rebuild_that_needs_what_was_deleted_is_refused() -> None:
    before = process_all(SHORT[:70])

    assert digests(
        restore(FakeTopicHistory(SHORT, first=65), before.predictions, 70, before.state)
    ) == digests(before.state)
    with pytest.raises(
        Incompatible, match=r"klines from offset .* on are needed; they begin at 65"
    ):
        restore(FakeTopicHistory(SHORT, first=65), before.predictions, 70)
