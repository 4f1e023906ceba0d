from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.predictor.recovery import (
    Published,
    Recovery,
    Replay,
    from_saved,
    next_offset,
    read_published,
    refuse_other_profile,
)
from shared.adapters.folding import Folded, Folder, Unseen
from shared.adapters.kafka.reader import Received
from shared.adapters.messages import KlineCodec, PromotionMessage, encode_prediction, encode_record
from shared.adapters.states import Saved
from shared.core.errors import Incompatible
from shared.core.fold import GroupState, Model
from shared.core.prediction import Prediction
from shared.core.state import SEQUENCE_LENGTH
from tests.builders import DEPLOYMENT, START_MS, STEP_MS, a_model, a_walk, candle_bytes
from tests.fakes import FakeHistory

MODELS = {model.version: model for model in (a_model(1), a_model(2))}
FIRST, SECOND = MODELS.values()
FOLDER = Folder("klines.5m", KlineCodec("5m", STEP_MS, 1), DEPLOYMENT, lambda version, _: MODELS[version])


def promotion(model: Model) -> bytes:
    message = PromotionMessage(type="promotion", model_version=model.version, bundle_sha256=model.bundle.sha256)
    return encode_record(message)


def log_of(values: Sequence[tuple[int, bytes]]) -> list[Received]:
    """Records by (candle number, bytes)."""
    return [
        Received(0, offset, START_MS + (at + 1) * STEP_MS - 1, None, value) for offset, (at, value) in enumerate(values)
    ]


def candles_of(symbol: str, start: int, stop: int, seed: int) -> list[tuple[int, bytes]]:
    closes = a_walk(stop, seed)
    return [(at, candle_bytes(at, symbol, f"{closes[at]:.6f}")) for at in range(start, stop)]


def two_symbols(start: int, stop: int) -> list[tuple[int, bytes]]:
    pairs = zip(candles_of("AAAUSDT", start, stop, 1), candles_of("BBBUSDT", start, stop, 2), strict=True)
    return [record for pair in pairs for record in pair]


SHORT = log_of(
    [*two_symbols(0, 20), (19, promotion(FIRST)), *two_symbols(20, 40), (39, promotion(SECOND)), *two_symbols(40, 60)]
)
LENGTH = SEQUENCE_LENGTH + 200
LONG = log_of([*two_symbols(0, LENGTH), (LENGTH - 1, promotion(FIRST)), *two_symbols(LENGTH, LENGTH + 30)])


def folded(records: Sequence[Received], group: GroupState | None = None) -> Folded:
    result = Folded(group or GroupState())
    for record in records:
        FOLDER.fold(result, record)
    return result


def published_by(predictions: Sequence[Prediction]) -> Published:
    return Published({p.symbol: p for p in predictions})


def finished(recovery: Recovery) -> GroupState:
    while True:
        try:
            next(recovery)
        except StopIteration as done:
            group: GroupState = done.value
            return group


def digests(group: GroupState) -> dict[str, str]:
    return {symbol: state.digest for symbol, state in group.symbols.items()}


@given(st.integers(0, len(SHORT)), st.data())
@settings(max_examples=40, deadline=None)
def test_recovery_at_any_offset_from_any_saved_state_goes_on_with_the_same_bytes(at: int, data: st.DataObject) -> None:
    live = folded(SHORT)
    before = folded(SHORT[:at])
    saved = data.draw(st.none() | st.integers(0, at))
    base = None if saved is None else folded(SHORT[:saved]).group
    published = published_by(before.predictions)

    group = finished(Replay(FOLDER, FakeHistory(SHORT), published, 0).blocks(base, at))

    assert digests(group) == digests(before.group)
    assert before.predictions + folded(SHORT[at:], group).predictions == live.predictions


def test_a_rebuild_starts_one_sequence_before_the_last_promotion() -> None:
    before = folded(LONG[:-3])
    history = FakeHistory(LONG)

    group = finished(Replay(FOLDER, history, published_by(before.predictions), 0).blocks(None, len(LONG) - 3))

    assert digests(group) == digests(before.group)
    assert history.first_read is not None
    assert history.first_read > 300


def test_a_symbol_that_a_short_rebuild_cannot_vouch_for_makes_it_read_everything() -> None:
    young = candles_of("CCCUSDT", LENGTH - 5, LENGTH, 3)  # too young to have predictions, or a full sequence
    records = log_of(
        [*two_symbols(0, LENGTH), *young, (LENGTH - 1, promotion(FIRST)), *two_symbols(LENGTH, LENGTH + 5)]
    )
    before = folded(records)
    history = FakeHistory(records)

    group = finished(Replay(FOLDER, history, published_by(before.predictions), 0).blocks(None, len(records)))

    assert digests(group) == digests(before.group)
    assert history.first_read == 0


def test_a_log_that_does_not_give_what_was_published_is_refused() -> None:
    before = folded(SHORT[:70])
    wrong = [replace(p, predicted_change=p.predicted_change + 1e-9) for p in before.predictions]

    with pytest.raises(Incompatible, match="does not give what was published"):
        finished(Replay(FOLDER, FakeHistory(SHORT), published_by(wrong), 0).blocks(None, 70))


def test_nothing_that_was_predicted_is_predicted_again() -> None:
    published = published_by(folded(SHORT[:70]).predictions)

    assert next_offset(None, published, 100, 0) == 70
    assert next_offset(64, published, 100, 0) == 70
    assert next_offset(80, published, 100, 0) == 80
    assert next_offset(None, Published({}), 100, 0) == 0


def test_a_log_shorter_than_what_was_read_of_it_is_refused() -> None:
    with pytest.raises(Incompatible, match="made anew or lost its end"):
        next_offset(50, Published({}), 10, 0)


def test_the_last_prediction_of_each_symbol_is_read_back() -> None:
    predictions = folded(SHORT).predictions
    records = [Received(0, i, 0, p.symbol.encode(), encode_prediction(p)) for i, p in enumerate(predictions)]

    published = read_published(FakeHistory(records), 0)

    assert published == published_by(predictions)


def test_something_else_on_the_predictions_topic_is_refused() -> None:
    with pytest.raises(Incompatible, match="is no prediction"):
        read_published(FakeHistory([Received(0, 0, 0, b"x", b"{}")]), 0)


def test_another_numeric_profile_is_never_mixed_in() -> None:
    published = published_by(folded(SHORT[:70]).predictions)
    refuse_other_profile(published, DEPLOYMENT.numeric_profile)

    with pytest.raises(Incompatible, match="numeric profile"):
        refuse_other_profile(published, "2-other")


def saved_of(group: GroupState) -> Saved:
    return Saved(group.next_offset, group.promotion_offset, group.model_version, group.symbols, group.known_from)


def test_redis_is_used_only_as_far_as_the_log_was_committed() -> None:
    before = folded(SHORT[:70])
    published = published_by(before.predictions)

    assert from_saved(saved_of(before.group), 70, published) is not None
    assert from_saved(saved_of(folded(SHORT[:60]).group), 70, published) is not None
    assert from_saved(saved_of(folded(SHORT[:75]).group), 70, published) is None
    assert from_saved(None, 70, published) is None


def test_a_state_of_another_history_is_not_used() -> None:
    before = folded(SHORT[:70])
    other = [replace(p, predicted_change=0.5) for p in before.predictions]

    assert from_saved(saved_of(before.group), 70, published_by(other)) is None


def test_an_amendment_of_a_symbol_whose_past_was_not_read_makes_the_group_be_read_whole() -> None:
    group = GroupState(next_offset=500, known_from=400)
    amendment = Received(0, 500, START_MS, None, candle_bytes(3, "NEWUSDT", type="amendment"))

    with pytest.raises(Unseen):
        FOLDER.fold(Folded(group), amendment)
