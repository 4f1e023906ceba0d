from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.schemas.predictions import encode_prediction
from shared.core.errors import BadInput
from shared.core.model.optimiser import Optimiser
from shared.core.model.scaler import Scaler
from shared.core.online.calibration import Calibration
from shared.core.online.context import FoldOptions
from shared.core.online.model import Model
from shared.core.online.network_io import network_input
from shared.core.online.partition import PartitionState, fold
from shared.core.online.prediction import Prediction
from shared.core.online.state_codec import decode_state, encode_state, state_digest
from shared.core.online.symbol_step import precompute, repredict, step_symbol
from shared.core.records import Amendment, Gap, Record
from shared.core.sequence import SEQUENCE_LENGTH
from tests.support.builders import (
    CONTEXT,
    START_MS,
    STEP_MS,
    a_candle,
    a_card,
    a_model,
    a_promotion,
    a_walk,
    applied,
    candles,
    fold_all,
)

MODEL = a_model()
OTHER = a_model(seed=2)
RETURNS = a_model(card=a_card(features="returns", label_scale=1.0, huber_delta=2.0))
RANGES = Scaler((0.01,) * 4 + (0.5,) * 2, (-0.4,) * 4 + (0.5,) * 2)
LEVEL = a_model(card=a_card(target="level", scalers={"BTCUSDT": RANGES}))
SGD = a_model(card=a_card(features="returns", label_scale=1.0, optimiser=Optimiser("sgd", 1e-2)))
MODELS = {model.version: model for model in (MODEL, OTHER, RETURNS, LEVEL, SGD)}
OTHER_WEIGHTS = {
    model.version: a_model(seed=3, card=model.card).base_learner
    for model in (MODEL, RETURNS, LEVEL, SGD)
}
both_feature_sets = pytest.mark.parametrize("model", [MODEL, RETURNS], ids=["levels", "returns"])
all_kinds = pytest.mark.parametrize(
    "model", [MODEL, RETURNS, LEVEL, SGD], ids=["levels", "returns", "target level", "sgd"]
)
WINDOW = MODEL.card.architecture.window_length

walks = st.lists(st.floats(50.0, 200.0), min_size=WINDOW + 2, max_size=WINDOW + 25)


def test_a_symbol_predicts_from_its_first_full_window_on() -> None:
    records = [a_promotion(MODEL), *candles(a_walk(WINDOW + 3))]

    _, predictions = fold_all(records, MODELS)

    assert [p.open_time_ms for p in predictions] == [
        START_MS + (WINDOW + i) * STEP_MS for i in range(4)
    ]
    assert [p.steps for p in predictions] == [0, 1, 2, 3]


def test_nothing_is_predicted_before_the_first_promotion() -> None:
    group, predictions = fold_all(candles(a_walk(WINDOW + 5)), MODELS)

    assert predictions == []
    assert len(group.symbols["BTCUSDT"].sequence) == WINDOW + 5


@both_feature_sets
@given(closes=walks)
@settings(max_examples=30, deadline=None)
def test_each_step_learns_from_the_previous_prediction_and_its_outcome(
    model: Model, closes: list[float]
) -> None:
    records = [a_promotion(model), *candles(closes)]
    delta = np.float32(model.card.huber_delta)
    states = [PartitionState()]
    predictions: list[Prediction | None] = []
    for offset, record in enumerate(records):
        change = fold(states[-1], record, offset, model, CONTEXT)
        states.append(applied(states[-1], change))
        predictions.append(change.prediction)

    for i in range(WINDOW + 1, len(records)):
        before, prediction = states[i].symbols["BTCUSDT"], predictions[i]
        asked = predictions[i - 1]
        assert asked is not None
        assert prediction is not None
        label = closes[i - 1] / closes[i - 2] - 1.0
        assert before.learner is not None
        output, jacobian = model.network.jacobian(
            before.learner.weights, network_input(before, model)
        )
        error = np.clip(output - np.float32(label / asked.change_scale), -delta, delta)
        stepped = model.network.step(before.learner, model.card.optimiser, error, jacobian)
        learnt = states[i + 1].symbols["BTCUSDT"].learner
        assert learnt is not None
        assert np.array_equal(learnt.parameters, stepped.parameters)
        assert float(output) * asked.change_scale == asked.predicted_change
        assert prediction.previous is not None
        assert prediction.previous.outcome_change == label


@given(closes=walks)
@settings(max_examples=30, deadline=None)
def test_a_level_is_the_next_close_on_the_symbols_scaler_and_learnt_as_such(
    closes: list[float],
) -> None:
    records = [a_promotion(LEVEL), *candles(closes)]
    group, before = fold_all(records[:-1], MODELS)
    after, _ = fold_all(records[-1:], MODELS, group, first_offset=len(records) - 1)
    state, stepped = group.symbols["BTCUSDT"], after.symbols["BTCUSDT"].learner
    scale, offset = RANGES.scale[3], RANGES.offset[3]

    assert state.learner is not None
    assert stepped is not None
    output, jacobian = LEVEL.network.jacobian(state.learner.weights, network_input(state, LEVEL))
    error = np.float32(float(output) - (closes[-1] * scale + offset))
    expected = LEVEL.network.step(state.learner, LEVEL.card.optimiser, error, jacobian)
    assert before[-1].predicted_close == pytest.approx((float(output) - offset) / scale, rel=1e-6)
    # Adam moves by up to the rate whatever the error's size: moments tell whether it was that error.
    np.testing.assert_allclose(stepped.parameters[1], expected.parameters[1], rtol=1e-4, atol=1e-6)


@all_kinds
def test_a_state_is_asked_anew_with_the_weights_it_has_now(model: Model) -> None:
    group, predictions = fold_all([a_promotion(model), *candles(a_walk(WINDOW + 3))], MODELS)
    state = group.symbols["BTCUSDT"]

    same, other = (
        repredict(state, model),
        repredict(replace(state, learner=OTHER_WEIGHTS[model.version]), model),
    )

    assert state.pending is not None
    assert other.pending is not None
    assert same.pending == state.pending
    assert other.pending.output != state.pending.output
    assert replace(other.pending, output=state.pending.output) == state.pending
    assert predictions[-1].predicted_change == state.pending.change


def test_a_state_without_a_prediction_to_learn_from_is_not_asked() -> None:
    group, _ = fold_all([a_promotion(MODEL), *candles(a_walk(WINDOW - 1))], MODELS)

    assert repredict(group.symbols["BTCUSDT"], MODEL) is group.symbols["BTCUSDT"]


def test_a_level_of_a_symbol_without_a_scaler_is_on_the_one_of_its_first_window() -> None:
    model = a_model(card=a_card(target="level"))

    group, predictions = fold_all(
        [a_promotion(model), *candles(a_walk(WINDOW + 5))], {model.version: model}
    )

    state = group.symbols["BTCUSDT"]
    assert state.scaler is not None
    assert state.learner is not None
    output = float(model.network.predict(state.learner.weights, network_input(state, model)))
    close = (output - state.scaler.offset[3]) / state.scaler.scale[3]
    assert predictions[-1].predicted_close == pytest.approx(close, rel=1e-6)


@pytest.mark.parametrize("wild", [1e-9, 1e15])
@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_a_level_far_outside_of_its_scaler_is_published_all_the_same(
    wild: float, scale: float
) -> None:
    ranges = Scaler((scale,) * 6, (0.0,) * 6)
    model = a_model(card=a_card(target="level", scalers={"BTCUSDT": ranges}))
    records = [a_promotion(model), *candles([*a_walk(WINDOW + 2), wild, wild, 100.0, *a_walk(3)])]

    _, predictions = fold_all(records, {model.version: model})

    assert len(predictions) == len(records) - WINDOW
    assert all(encode_prediction(p) for p in predictions)


def test_changes_are_measured_in_the_symbols_own_volatility() -> None:
    calm, wild = (
        [100.0 * (1.0 + (size if at % 2 else 0.0)) for at in range(WINDOW + 5)]
        for size in (0.001, 0.01)
    )

    scales = [
        fold_all([a_promotion(RETURNS), *candles(closes)], MODELS)[1][-1].change_scale
        for closes in (calm, wild)
    ]

    assert scales[1] == pytest.approx(10 * scales[0], rel=0.1)


def test_a_calibrated_prediction_begins_at_no_change_and_follows_what_came_true() -> None:
    closes = [100.0 * (1.001 if at % 2 else 1.0) for at in range(600)]

    _, predictions = fold_all([a_promotion(RETURNS), *candles(closes)], MODELS)

    first, last = predictions[0], predictions[-1]
    assert first.predicted_change != 0.0
    assert (first.calibrated_change, first.calibrated_close, first.actionable) == (
        0.0,
        first.close,
        False,
    )
    assert last.calibration > 0.5
    assert last.calibrated_change == last.predicted_change * last.calibration
    assert last.actionable
    assert (last.scores.calibrated_skill() or 0.0) > 0.5


def test_a_promotion_begins_features_and_calibration_anew_from_the_candles_that_are_kept() -> None:
    records = [a_promotion(RETURNS), *candles(a_walk(WINDOW + 20))]
    group, _ = fold_all([*records, a_promotion(RETURNS)], MODELS)
    anew, _ = fold_all([*records[1:], a_promotion(RETURNS)], MODELS)

    one, other = group.symbols["BTCUSDT"], anew.symbols["BTCUSDT"]

    assert one.calibration == other.calibration == Calibration()
    assert one.features is not None
    assert other.features is not None
    assert (one.features.carry, one.features.rows.tobytes()) == (
        other.features.carry,
        other.features.rows.tobytes(),
    )


def test_an_amended_candle_is_in_the_features_from_then_on() -> None:
    closes = a_walk(WINDOW + 4)
    group, _ = fold_all([a_promotion(RETURNS), *candles(closes)], MODELS)
    amendment = Amendment(a_candle(WINDOW, closes[WINDOW] * 1.05))

    amended = fold(group, amendment, group.next_offset, RETURNS, CONTEXT)

    changed = [*closes[:WINDOW], closes[WINDOW] * 1.05, *closes[WINDOW + 1 :]]
    fresh, _ = fold_all([*candles(changed), a_promotion(RETURNS)], MODELS)
    after, expected = amended.symbols["BTCUSDT"].features, fresh.symbols["BTCUSDT"].features
    assert after is not None
    assert expected is not None
    assert after.rows.tobytes() == expected.rows.tobytes()


@all_kinds
@given(closes=walks, data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_restart_anywhere_changes_no_prediction(
    model: Model, closes: list[float], data: st.DataObject
) -> None:
    records = [a_promotion(model), *candles(closes)]
    cut = data.draw(st.integers(1, len(records)))
    _, uninterrupted = fold_all(records, MODELS)

    group, before = fold_all(records[:cut], MODELS)
    stored = {name: decode_state(encode_state(state)) for name, state in group.symbols.items()}
    _, after = fold_all(records[cut:], MODELS, replace(group, symbols=stored), first_offset=cut)

    assert before + after == uninterrupted


@all_kinds
@given(closes=walks, others=walks, data=st.data())
@settings(max_examples=30, deadline=None)
def test_no_prediction_knows_a_later_candle(
    model: Model, closes: list[float], others: list[float], data: st.DataObject
) -> None:
    known = data.draw(st.integers(0, len(closes)))
    past, future = candles(closes[:known]), candles(others[known:], start=known)

    _, found = fold_all([a_promotion(model), *past, *future], MODELS)

    _, expected = fold_all([a_promotion(model), *past], MODELS)
    assert [encode_prediction(p) for p in found[: len(expected)]] == [
        encode_prediction(p) for p in expected
    ]


@given(walks, st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)))
@settings(max_examples=30, deadline=None)
def test_what_is_computed_in_the_quiet_time_or_beside_a_prediction_changes_none(
    closes: list[float], quiet: set[int], ahead: set[int], without_digest: set[int]
) -> None:
    records = [a_promotion(MODEL), *candles(closes)]
    _, expected = fold_all(records, MODELS)

    group, found = PartitionState(), []
    for offset, record in enumerate(records):
        if offset in quiet:
            for name, state in group.symbols.items():
                group.symbols[name] = precompute(state, MODEL)
        options = FoldOptions(jacobian=offset in ahead, digest=offset not in without_digest)
        change = fold(group, record, offset, MODEL, CONTEXT, options)
        group.apply(change)
        found += [change.prediction] if change.prediction else []

    assert found == [
        replace(p, state_digest=None) if p.source_offset in without_digest else p for p in expected
    ]


@given(st.permutations(range(2 * (WINDOW + 4))))
@settings(max_examples=20, deadline=None)
def test_symbols_do_not_depend_on_each_others_arrival(order: list[int]) -> None:
    both = [
        candles(a_walk(WINDOW + 4, seed), name) for seed, name in ((1, "AAAUSDT"), (2, "BBBUSDT"))
    ]
    turns = [both[0], both[1]]
    interleaved: list[Record] = []
    positions = [0, 0]
    for place in order:
        which = place % 2
        interleaved.append(turns[which][positions[which]])
        positions[which] += 1

    _, mixed = fold_all([a_promotion(MODEL), *interleaved], MODELS)
    _, alone = fold_all([a_promotion(MODEL), *both[0]], MODELS)

    values = [(p.open_time_ms, p.predicted_change, p.steps) for p in mixed if p.symbol == "AAAUSDT"]
    assert values == [(p.open_time_ms, p.predicted_change, p.steps) for p in alone]


def test_a_hole_gives_no_label_and_the_window_goes_on() -> None:
    closes = a_walk(WINDOW + 4)
    whole = candles(closes)
    holed = [*whole[: WINDOW + 1], *whole[WINDOW + 2 :]]

    _, predictions = fold_all([a_promotion(MODEL), *holed], MODELS)

    after = predictions[2]
    assert after.previous is not None
    assert after.previous.outcome_change is None
    assert after.loss is None
    assert after.steps == predictions[1].steps
    assert predictions[3].steps == after.steps + 1


def test_a_gap_record_changes_no_symbol() -> None:
    records = [a_promotion(MODEL), *candles(a_walk(WINDOW + 1))]
    group, _ = fold_all(records, MODELS)

    after = fold(group, Gap("BTCUSDT", 0, STEP_MS), len(records), MODEL, CONTEXT)

    assert after.prediction is None
    assert after.symbols == {}
    assert after.next_offset == group.next_offset + 1


@pytest.mark.parametrize(
    ("shift", "close", "reason"),
    [(0, None, "duplicate"), (0, 123.0, "contradiction"), (-2, None, "out_of_order")],
)
def test_a_stale_candle_is_refused_with_its_reason(
    shift: int, close: float | None, reason: str
) -> None:
    closes = a_walk(WINDOW)
    group, _ = fold_all(candles(closes), MODELS)
    at = WINDOW - 1 + shift
    stale = a_candle(at, closes[at] if close is None else close)

    with pytest.raises(BadInput) as refused:
        step_symbol(group.symbols["BTCUSDT"], stale, 99, None, CONTEXT)

    assert refused.value.reason == reason
    assert str(stale.open_time_ms) in str(refused.value)


def test_a_promotion_keeps_the_sequence_and_nothing_else() -> None:
    group, _ = fold_all([a_promotion(MODEL), *candles(a_walk(WINDOW + 5))], MODELS)

    promoted = fold(group, a_promotion(OTHER), group.next_offset, OTHER, CONTEXT)

    before, after = group.symbols["BTCUSDT"], promoted.symbols["BTCUSDT"]
    assert np.array_equal(after.sequence, before.sequence)
    assert after.model_version == OTHER.version
    assert after.learner is OTHER.base_learner
    assert after.scores.n == 0
    assert after.pending is None
    assert after.scaler is None


def test_where_another_numeric_profile_predicts_sequences_grow_and_nothing_else_happens() -> None:
    theirs = a_promotion(OTHER, "2-other")
    closes = a_walk(WINDOW + 9)
    records = candles(closes)
    log = [
        a_promotion(MODEL),
        *records[: WINDOW + 2],
        theirs,
        *records[WINDOW + 2 : WINDOW + 6],
        a_promotion(OTHER),
        *records[WINDOW + 6 :],
    ]
    during, _ = fold_all(log[: WINDOW + 8], MODELS)

    group, predictions = fold_all(log, MODELS)

    assert during.numeric_profile == "2-other"
    assert during.symbols["BTCUSDT"].learner is None
    assert [p.source_offset for p in predictions] == [
        *range(WINDOW, WINDOW + 3),
        *range(WINDOW + 9, WINDOW + 12),
    ]
    assert [p.steps for p in predictions] == [0, 1, 2, 0, 1, 2]
    times_ms = [r.open_time_ms for r in records]  # type: ignore[union-attr]
    assert np.array_equal(group.symbols["BTCUSDT"].sequence[:, 0], times_ms)


def test_a_rollback_starts_the_older_version_again() -> None:
    closes = a_walk(WINDOW + 8)
    records = candles(closes)
    log = [
        a_promotion(MODEL),
        *records[: WINDOW + 2],
        a_promotion(OTHER),
        *records[WINDOW + 2 : WINDOW + 5],
        a_promotion(MODEL),
        *records[WINDOW + 5 :],
    ]

    _, predictions = fold_all(log, MODELS)

    versions = [p.model_version for p in predictions]
    assert versions == [MODEL.version] * 3 + [OTHER.version] * 3 + [MODEL.version] * 3
    assert predictions[6].steps == 0


def test_an_amendment_is_seen_by_later_windows_and_not_learnt_from() -> None:
    closes = a_walk(WINDOW + 3)
    records = candles(closes)
    log = [a_promotion(MODEL), *records[: WINDOW + 1]]
    group, _ = fold_all(log, MODELS)

    amendment = Amendment(a_candle(WINDOW, closes[WINDOW] * 1.01))
    change = fold(group, amendment, group.next_offset, MODEL, CONTEXT)
    amended = applied(group, change)
    after = fold(amended, records[WINDOW + 1], amended.next_offset, MODEL, CONTEXT)
    next_one = after.prediction

    assert change.prediction is None
    assert amended.symbols["BTCUSDT"].last_close == closes[WINDOW] * 1.01
    assert next_one is not None
    assert next_one.loss is None
    assert next_one.steps == 0 + group.symbols["BTCUSDT"].learner.steps  # type: ignore[union-attr]
    assert after.symbols["BTCUSDT"].scores == group.symbols["BTCUSDT"].scores


def test_an_amendment_of_a_forgotten_candle_changes_nothing() -> None:
    group, _ = fold_all([a_promotion(MODEL), *candles(a_walk(WINDOW + 1), start=100)], MODELS)

    amended = fold(group, Amendment(a_candle(3, 7.0)), group.next_offset, MODEL, CONTEXT)

    assert state_digest(amended.symbols["BTCUSDT"]) == state_digest(group.symbols["BTCUSDT"])


def test_weights_that_explode_go_back_to_the_models_and_say_so() -> None:
    wild = a_model(card=a_card(rate=1.0, label_scale=1e-9))
    closes = [100.0 * (10.0 if i % 2 else 1.0) ** 20 for i in range(WINDOW + 6)]

    _, predictions = fold_all([a_promotion(wild), *candles(closes)], {wild.version: wild})

    assert all(np.isfinite(p.predicted_change) for p in predictions)
    assert any(p.was_reset for p in predictions)


def test_a_move_that_no_float32_holds_resets_the_symbol_and_is_published_without_a_loss() -> None:
    model = a_model(card=a_card(label_scale=1e-5))
    records = [a_promotion(model), *candles([*a_walk(WINDOW + 2), 1e-20, 1e15, 1e-20, *a_walk(3)])]

    _, predictions = fold_all(records, {model.version: model})

    assert len(predictions) == len(records) - WINDOW
    reset = next(p for p in predictions if p.was_reset)
    assert reset.loss is None
    assert reset.steps == 0
    assert all(encode_prediction(p) for p in predictions)


def test_the_sequence_keeps_the_longest_window_and_no_more() -> None:
    group, _ = fold_all(candles(a_walk(SEQUENCE_LENGTH + 3)), MODELS)

    sequence = group.symbols["BTCUSDT"].sequence
    assert len(sequence) == SEQUENCE_LENGTH
    assert sequence[0, 0] == START_MS + 3 * STEP_MS


def test_a_promotion_without_its_model_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="without its model"):
        fold(PartitionState(), a_promotion(MODEL), 0, None, CONTEXT)


def test_the_state_of_the_event_is_named_by_its_digest() -> None:
    records = [a_promotion(MODEL), *candles(a_walk(WINDOW + 2))]
    group, _ = fold_all(records[:-1], MODELS)
    before = group.symbols["BTCUSDT"]

    prediction = fold(group, records[-1], len(records) - 1, MODEL, CONTEXT).prediction

    assert prediction is not None
    assert prediction.state_digest == state_digest(before)
    assert state_digest(before) == state_digest(decode_state(encode_state(before)))
