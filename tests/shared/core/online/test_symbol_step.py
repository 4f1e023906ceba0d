"""A step learns from the previous prediction, then makes the next."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.schemas.predictions import encode_prediction
from shared.core.errors import BadInput
from shared.core.online.context import FoldOptions
from shared.core.online.model import Model
from shared.core.online.network_io import network_input, pending_head_inputs
from shared.core.online.partition import PartitionState, fold
from shared.core.online.prediction import Prediction
from shared.core.online.state_codec import decode_state, encode_state
from shared.core.online.state_digest import state_digest
from shared.core.online.symbol_step import precompute, repredict, step_symbol
from tests.shared.core.online.models import (
    BOTH,
    HEAD,
    MODEL,
    MODELS,
    OTHER_WEIGHTS,
    RETURNS,
    SGD,
    WINDOW,
    all_kinds,
    both_feature_sets,
    gradient_kinds,
    head_kinds,
    walks,
)
from tests.support.builders import (
    CONTEXT,
    START_MS,
    STEP_MS,
    a_candle,
    a_promotion,
    a_walk,
    applied,
    candles,
    fold_all,
)


def test_a_symbol_predicts_from_its_first_full_window_on() -> None:
    records = [a_promotion(MODEL), *candles(a_walk(WINDOW + 3))]

    _, predictions = fold_all(records, MODELS)

    assert [p.open_time_ms for p in predictions] == [
        START_MS + (WINDOW + i) * STEP_MS for i in range(4)
    ]
    assert [p.steps for p in predictions] == [0, 1, 2, 3]


@both_feature_sets
@given(closes=walks)
@settings(max_examples=30)
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
        learner = before.learner or model.base_learner
        output, jacobian = model.network.jacobian(learner.weights, network_input(before, model))
        error = np.clip(output - np.float32(label / asked.change_scale), -delta, delta)
        stepped = model.network.step(learner, model.card.optimiser, error, jacobian)
        learnt = states[i + 1].symbols["BTCUSDT"].learner
        assert learnt is not None
        assert np.array_equal(learnt.parameters, stepped.parameters)
        assert float(output) * asked.change_scale == asked.predicted_change
        assert prediction.previous is not None
        assert prediction.previous.outcome_change == label


@head_kinds
@given(closes=walks)
@settings(max_examples=30)
def test_each_step_moves_the_head_by_the_outcome_of_its_prediction(
    model: Model, closes: list[float]
) -> None:
    prior = model.head_prior
    assert prior is not None
    before, predictions = fold_all([a_promotion(model), *candles(closes[:-1])], MODELS)
    state, asked = before.symbols["BTCUSDT"], predictions[-1]
    after = applied(
        before, fold(before, candles(closes)[-1], before.next_offset, model, CONTEXT)
    ).symbols["BTCUSDT"]

    inputs = pending_head_inputs(replace(state, head_inputs=None), model)
    label = (closes[-1] / closes[-2] - 1.0) / asked.change_scale
    expected = prior.learn(state.head or prior.head, inputs, label)

    assert after.head is not None
    assert np.array_equal(after.head.parameters, expected.parameters)
    assert np.float32((state.head or prior.head).predict(inputs)) == np.float32(
        asked.predicted_change / asked.change_scale
    )
    assert (after.learner is not None) == model.steps_by_gradient


@given(closes=walks, jump=st.sampled_from([1e-3, 0.02, 50.0, 1e3]), data=st.data())
@settings(max_examples=50)
def test_every_predicted_close_is_above_zero_whatever_the_prices_do(
    closes: list[float], jump: float, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(closes)))
    jumping = [*closes[:at], *(close * jump for close in closes[at:])]

    for model in (MODEL, RETURNS, SGD, HEAD, BOTH):
        _, predictions = fold_all([a_promotion(model), *candles(jumping)], MODELS)
        assert all(p.predicted_close > 0 and p.calibrated_close > 0 for p in predictions)


@all_kinds
@given(closes=walks, data=st.data())
@settings(max_examples=30)
def test_a_restart_anywhere_changes_no_prediction(
    model: Model, closes: list[float], data: st.DataObject
) -> None:
    records = [a_promotion(model), *candles(closes)]
    cut = data.draw(st.integers(1, len(records)))
    _, uninterrupted = fold_all(records, MODELS)

    partition, before = fold_all(records[:cut], MODELS)
    stored = {name: decode_state(encode_state(state)) for name, state in partition.symbols.items()}
    _, after = fold_all(records[cut:], MODELS, replace(partition, symbols=stored), first_offset=cut)

    assert before + after == uninterrupted


@all_kinds
@given(closes=walks, others=walks, data=st.data())
@settings(max_examples=30)
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
@settings(max_examples=30)
def test_precomputing_and_fold_options_change_no_prediction(
    closes: list[float], idle: set[int], ahead: set[int], without_digest: set[int]
) -> None:
    records = [a_promotion(MODEL), *candles(closes)]
    _, expected = fold_all(records, MODELS)

    partition, found = PartitionState(), []
    for offset, record in enumerate(records):
        if offset in idle:
            for name, state in partition.symbols.items():
                partition.symbols[name] = precompute(state, MODEL)
        options = FoldOptions(jacobian=offset in ahead, digest=offset not in without_digest)
        change = fold(partition, record, offset, MODEL, CONTEXT, options)
        partition.apply(change)
        found += [change.prediction] if change.prediction else []

    assert found == [
        replace(p, state_digest=None) if p.source_offset in without_digest else p for p in expected
    ]


@gradient_kinds
def test_a_pending_prediction_is_made_again_with_the_weights_of_now(model: Model) -> None:
    partition, predictions = fold_all([a_promotion(model), *candles(a_walk(WINDOW + 3))], MODELS)
    state = partition.symbols["BTCUSDT"]

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


def test_a_state_without_a_pending_prediction_is_not_predicted_again() -> None:
    state, _ = fold_all([a_promotion(MODEL), *candles(a_walk(WINDOW - 1))], MODELS)

    assert repredict(state.symbols["BTCUSDT"], MODEL) is state.symbols["BTCUSDT"]


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


def test_a_missing_candle_gives_no_label_and_predictions_continue() -> None:
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


@pytest.mark.parametrize(
    ("shift", "close", "reason"),
    [(0, None, "duplicate"), (0, 123.0, "contradiction"), (-2, None, "out_of_order")],
)
def test_a_candle_that_is_not_newer_is_rejected_with_its_reason(
    shift: int, close: float | None, reason: str
) -> None:
    closes = a_walk(WINDOW)
    state, _ = fold_all(candles(closes), MODELS)
    at = WINDOW - 1 + shift
    stale = a_candle(at, closes[at] if close is None else close)

    with pytest.raises(BadInput) as refused:
        step_symbol(state.symbols["BTCUSDT"], stale, 99, None, CONTEXT)

    assert refused.value.reason == reason
    assert str(stale.open_time_ms) in str(refused.value)


def test_a_prediction_carries_the_digest_of_the_state_before() -> None:
    records = [a_promotion(MODEL), *candles(a_walk(WINDOW + 2))]
    state, _ = fold_all(records[:-1], MODELS)
    before = state.symbols["BTCUSDT"]

    prediction = fold(state, records[-1], len(records) - 1, MODEL, CONTEXT).prediction

    assert prediction is not None
    assert prediction.state_digest == state_digest(before)
    assert state_digest(before) == state_digest(decode_state(encode_state(before)))
