"""Keras is the reference: our step and its own agree within float32 rounding."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler

from benchmarks.shared_weights import forecast_with_shared_weights
from services.trainer.data.preparation import fit_scaler
from services.trainer.fitting.keras_backend import build_network, flatten, save_keras_file
from services.trainer.keras_files.reader import read_weights, read_weights_with_head
from shared.adapters.bundle_codec import decode_bundle, encode_bundle
from shared.core.arrays import Float32s
from shared.core.evaluation.forecasts import hold_out
from shared.core.features.levels import Levels
from shared.core.model.architecture import Architecture
from shared.core.model.network import Network
from shared.core.model.optimiser import Optimiser, new_learner
from shared.core.model.scaler import fit_min_max_scaler
from shared.core.online.network_io import network_input, symbol_head
from shared.core.records import Candle
from shared.core.sequence import candle_row
from tests.support.builders import (
    CONTEXT,
    START_MS,
    STEP_MS,
    a_bundle,
    a_card,
    a_model,
    a_promotion,
    a_walk,
    candles,
    fold_all,
)

pytestmark = [
    pytest.mark.slow,
    # Keras' own saving, with NumPy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

ARCHITECTURE = Architecture((32, 32), 288, 6)
STEPS = 20


def some_windows(count: int) -> Float32s:
    return np.random.default_rng(7).random((count, 288, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def reference() -> keras.Sequential:
    keras.utils.set_random_seed(3)
    model = build_network(ARCHITECTURE)
    model.compile(keras.optimizers.Adam(1e-3), loss="mean_squared_error")
    return model


def test_twenty_online_steps_agree_with_keras(reference: keras.Sequential) -> None:
    network, optimiser = Network(ARCHITECTURE), Optimiser(rate=1e-3)
    learner = new_learner(flatten(reference.get_weights()))
    windows = some_windows(STEPS + 1)
    labels = np.random.default_rng(8).normal(size=STEPS).astype(np.float32)

    differences = []
    for window, following, label in zip(windows, windows[1:], labels, strict=False):
        output, jacobian = network.jacobian(learner.weights, window)
        learner = network.step(learner, optimiser, output - label, jacobian)
        reference.train_on_batch(window[None], label[None, None])
        theirs = float(reference.predict_on_batch(following[None])[0, 0])
        differences.append(abs(float(network.predict(learner.weights, following)) - theirs))
    weights = np.abs(learner.weights - flatten(reference.get_weights()))

    assert max(differences) < 1e-5
    assert weights.max() < 1e-5


@pytest.mark.parametrize("symbols", [["BTCUSDT"], ["BTCUSDT", "ETHUSDT"]])
def test_the_original_loop_in_keras_and_the_fold_predict_the_same_changes(
    symbols: list[str],
) -> None:
    """One network for all symbols: `train_on_batch` with the change, then `predict`."""
    small, first, last = Architecture((8,), 16, 6), 60, 75
    keras.utils.set_random_seed(3)
    network = build_network(small)
    network.compile(keras.optimizers.Adam(1e-3), loss="mean_squared_error")
    made = {
        s: [c for c in candles(a_walk(last, seed), s) if isinstance(c, Candle)]
        for seed, s in enumerate(symbols)
    }
    sequences = {
        symbol: np.concatenate([candle_row(candle) for candle in of_symbol])
        for symbol, of_symbol in made.items()
    }
    rows = {
        symbol: Levels().compute(sequence, STEP_MS).rows for symbol, sequence in sequences.items()
    }
    scalers = {symbol: MinMaxScaler().fit(of_symbol[:first]) for symbol, of_symbol in rows.items()}
    fitted = {s: fit_scaler(rows[s][:first]) for s in symbols}
    card = a_card(label_scale=1.0, rate=1e-3, scalers=fitted)
    bundle = decode_bundle("original", encode_bundle(card, flatten(network.get_weights())))
    changes: dict[str, list[float]] = {symbol: [] for symbol in symbols}

    for at in range(first, last):
        for symbol in symbols:
            scaled = scalers[symbol].transform(rows[symbol][at - 16 : at + 1]).astype(np.float32)
            if at > first:
                change = rows[symbol][at, 3] / rows[symbol][at - 1, 3] - 1.0
                network.train_on_batch(scaled[None, :-1], np.array([[change]], np.float32))
            changes[symbol].append(float(network.predict_on_batch(scaled[None, 1:])[0, 0]))
    spans = hold_out(sequences, START_MS + first * STEP_MS, last, len(symbols))
    series = forecast_with_shared_weights(bundle, spans, CONTEXT)

    for symbol in symbols:
        np.testing.assert_allclose(series[symbol].change, changes[symbol][:-1], rtol=0, atol=1e-5)


def test_an_exported_file_predicts_the_same_in_stock_keras(tmp_path: Path) -> None:
    bundle = a_bundle(card=a_card(window_length=288, widths=(32, 32)))
    window = some_windows(1)[0]
    save_keras_file(bundle, tmp_path / "model.keras")

    loaded = keras.saving.load_model(tmp_path / "model.keras")

    theirs = float(loaded.predict_on_batch(window[None])[0, 0])
    ours = float(Network(bundle.card.architecture).predict(bundle.weights, window))
    assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("widths", [(8,), (32, 32), (8, 24, 16)])
def test_weights_survive_a_keras_file(widths: tuple[int, ...], tmp_path: Path) -> None:
    bundle = a_bundle(card=a_card(widths=widths))
    save_keras_file(bundle, tmp_path / "model.keras")

    weights = read_weights(tmp_path / "model.keras", bundle.card.architecture)

    assert weights.tobytes() == bundle.weights.tobytes()


@pytest.mark.parametrize("widths", [(8,), (16, 8)])
def test_a_head_survives_a_keras_file_and_predicts_the_same_in_stock_keras(
    widths: tuple[int, ...], tmp_path: Path
) -> None:
    model = a_model(card=a_card(widths=widths, features="returns", learns="head"))
    state = fold_all([a_promotion(model), *candles(a_walk(40))], {model.version: model})[0]
    symbol, file = state.symbols["BTCUSDT"], tmp_path / "model.keras"
    head = symbol_head(symbol, model)
    save_keras_file(replace(model.bundle, head=head), file)

    theirs = keras.saving.load_model(file).predict_on_batch(network_input(symbol, model)[None])
    weights, means = read_weights_with_head(file, model.card.architecture)

    assert symbol.pending is not None
    assert float(theirs[0, 0]) == pytest.approx(symbol.pending.output, abs=1e-6)
    assert means.astype(np.float32).tobytes() == head.weights.astype(np.float32).tobytes()
    count = len(weights) - widths[-1] - 1  # of the LSTM layers
    assert weights[:count].tobytes() == model.bundle.weights[:count].tobytes()
    assert weights[count:-1].tolist() == means[: widths[-1]].tolist()
    assert weights[-1] == means[-1]


def test_weights_of_a_trained_and_compiled_keras_model_are_read(
    reference: keras.Sequential, tmp_path: Path
) -> None:
    reference.save(tmp_path / "model.keras")

    weights = read_weights(tmp_path / "model.keras", ARCHITECTURE)

    assert weights.tobytes() == flatten(reference.get_weights()).tobytes()


def test_our_scaler_is_that_of_scikit_learn() -> None:
    rows = np.random.default_rng(5).lognormal(3, 2, size=(500, 6))
    rows[:, 2] = 7.25  # a constant column

    theirs, ours = fit_scaler(rows), fit_min_max_scaler(rows)

    assert ours == theirs
