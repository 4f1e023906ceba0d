"""The kernel fits as Keras does, with the same bits on any number of threads."""

import threading
from dataclasses import replace
from math import comb, inf

import keras
import numpy as np
import pytest

from services.trainer.data.dataset import Dataset, Int64s, draw_epoch, spread_evenly
from services.trainer.fitting.fit import fit
from services.trainer.fitting.keras_backend import (
    build_network,
    fit_with_keras,
    flatten,
    initial_weights,
)
from services.trainer.fitting.kernel_backend import InitialWeights, compute_losses, fit_with_kernel
from services.trainer.fitting.options import FitOptions, FitResult
from services.trainer.fitting.training_loop import NO_CALLBACKS, FitCallbacks
from shared.core.arrays import Float32s
from shared.core.model.architecture import Architecture
from shared.core.model.network import Network
from tests.support.fakes import SetAfter

SMALL = Architecture((8, 16), 16, 3)
OPTIONS = FitOptions(
    epochs=3,
    patience=3,
    windows_per_epoch=300,
    validation_windows=100,
    batch_size=70,
    learning_rate=0.01,
    dropout=0.0,
    seed=5,
)


def some(shape: tuple[int, ...], seed: int) -> Float32s:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, shape).astype(np.float32)


def a_dataset(labels: Float32s, rows: Float32s) -> Dataset:
    ends = np.arange(SMALL.window_length - 1, len(rows))
    return Dataset(rows, labels, ends[:400], ends[400:], SMALL.window_length, 1.0)


def learnable(count: int = 600) -> Dataset:
    """Return data whose label is a function of two features of the last row."""
    rows = some((count, SMALL.features), 1)
    return a_dataset(rows[:, 0] - 0.5 * rows[:, 1], rows)


def noise(count: int = 600) -> Dataset:
    """Return data whose labels are random: a long fit overfits."""
    return a_dataset(some((count,), 2), some((count, SMALL.features), 1))


def fitted(
    dataset: Dataset,
    options: FitOptions = OPTIONS,
    stop: threading.Event | None = None,
    threads: int = 2,
    callbacks: FitCallbacks = NO_CALLBACKS,
) -> FitResult:
    start = InitialWeights(SMALL, initial_weights(SMALL, options.seed))
    return fit_with_kernel(start, dataset, options, stop or threading.Event(), threads, callbacks)


def validation_loss(weights: Float32s, dataset: Dataset, ends: Int64s) -> float:
    outputs = Network(SMALL).predict_many(weights, dataset.windows(ends))
    return float(compute_losses(outputs, dataset.labels[ends], inf).mean())


@pytest.mark.slow
@pytest.mark.parametrize("huber_delta", [inf, 0.3])
def test_the_batch_gradient_is_that_of_keras(huber_delta: float) -> None:
    weights = initial_weights(SMALL, 3)
    windows, labels = some((50, SMALL.window_length, SMALL.features), 6), some((50,), 7)
    keras.utils.set_random_seed(3)
    model = build_network(SMALL)
    loss = "mean_squared_error" if huber_delta == inf else keras.losses.Huber(huber_delta)
    model.compile(keras.optimizers.SGD(1.0), loss=loss)  # so that a step is the gradient

    outputs, gradient = Network(SMALL).batch_gradient(weights, windows, labels, huber_delta)
    theirs = model.predict_on_batch(windows)[:, 0]
    model.train_on_batch(windows, labels[:, None])

    halved = 1.0 if huber_delta == inf else 0.5  # as Keras' Huber is
    assert outputs == pytest.approx(theirs, abs=1e-6)
    assert halved * gradient / 50 == pytest.approx(weights - flatten(model.get_weights()), abs=1e-6)
    assert np.abs(gradient).max() > 0.1


@pytest.mark.slow
def test_three_epochs_agree_with_keras() -> None:
    dataset = learnable()
    keras.utils.set_random_seed(OPTIONS.seed)
    model = build_network(SMALL)
    model.compile(keras.optimizers.Adam(OPTIONS.learning_rate), loss="mean_squared_error")

    ours = fitted(dataset)

    for epoch, loss in enumerate(ours.training_losses):
        ends = draw_epoch(dataset.training_ends, OPTIONS.windows_per_epoch, OPTIONS.seed, epoch)
        theirs = 0.0
        for at in range(0, len(ends), OPTIONS.batch_size):
            batch = ends[at : at + OPTIONS.batch_size]
            theirs += len(batch) * float(
                model.train_on_batch(dataset.windows(batch), dataset.labels[batch, None])
            )
        assert loss == pytest.approx(theirs / len(ends), rel=1e-4)
    weights = flatten(model.get_weights())
    shown = spread_evenly(dataset.validation_ends, OPTIONS.validation_windows)
    assert ours.weights == pytest.approx(weights, abs=1e-3)
    assert ours.validation_losses[-1] == pytest.approx(
        validation_loss(weights, dataset, shown), rel=1e-3
    )


@pytest.mark.slow
def test_a_falling_rate_is_that_of_keras_and_the_mean_forgets_the_initial_weights() -> None:
    dataset, all_alike = (
        learnable(),
        replace(OPTIONS, learning_rate_falls=True, averaging=1.0 - 1e-9),
    )
    steps = all_alike.epochs * all_alike.steps_per_epoch(len(dataset.training_ends))
    keras.utils.set_random_seed(OPTIONS.seed)
    model = build_network(SMALL)
    rate = keras.optimizers.schedules.PolynomialDecay(
        OPTIONS.learning_rate, steps, end_learning_rate=0.0
    )
    model.compile(keras.optimizers.Adam(rate), loss="mean_squared_error")
    passed = []
    for epoch in range(all_alike.epochs):
        ends = draw_epoch(dataset.training_ends, OPTIONS.windows_per_epoch, OPTIONS.seed, epoch)
        for at in range(0, len(ends), OPTIONS.batch_size):
            batch = ends[at : at + OPTIONS.batch_size]
            model.train_on_batch(dataset.windows(batch), dataset.labels[batch, None])
            passed.append(flatten(model.get_weights()))

    ours = fitted(dataset, all_alike)

    assert len(passed) == steps
    assert ours.best_epoch == all_alike.epochs - 1
    expected = np.average(passed, axis=0, weights=[comb(at + 8, 8) for at in range(steps)])
    assert ours.weights == pytest.approx(expected, abs=1e-4)
    assert np.abs(ours.weights - passed[-1]).max() > 1e-3  # ten times what may be rounding


@pytest.mark.slow
@pytest.mark.parametrize("averaging", [0.0, 0.5, 0.99])
def test_both_backends_average_alike(averaging: float) -> None:
    options = replace(OPTIONS, learning_rate_falls=True, averaging=averaging)

    by_keras = fit_with_keras(SMALL, learnable(), options, threading.Event())

    ours = fitted(learnable(), options)
    assert by_keras.weights == pytest.approx(ours.weights, abs=1e-3)
    assert by_keras.validation_losses == pytest.approx(ours.validation_losses, rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("huber_delta", [inf, 0.3])
def test_both_backends_compute_the_same_loss(huber_delta: float) -> None:
    still = replace(
        OPTIONS, learning_rate=1e-12, windows_per_epoch=1000, epochs=1, huber_delta=huber_delta
    )

    theirs = fit_with_keras(SMALL, learnable(), still, threading.Event())
    ours = fitted(learnable(), still)

    assert ours.training_losses == pytest.approx(theirs.training_losses, rel=1e-5)
    assert ours.validation_losses == pytest.approx(theirs.validation_losses, rel=1e-5)


def test_the_number_of_threads_changes_no_bit() -> None:
    one, three = (fitted(learnable(), threads=threads) for threads in (1, 3))

    assert one.weights.tobytes() == three.weights.tobytes()
    assert one.training_losses == three.training_losses
    assert one.validation_losses == three.validation_losses


def test_the_loss_falls_on_what_can_be_learnt() -> None:
    result = fit(SMALL, learnable(), replace(OPTIONS, epochs=30), threading.Event())

    assert result.validation_losses[-1] < 0.05 * result.validation_losses[0]
    assert result.training_losses[-1] < 0.05 * result.training_losses[0]


def test_a_fit_that_gets_worse_ends_with_its_best_epoch() -> None:
    options = replace(OPTIONS, epochs=100, patience=4, learning_rate=0.03, validation_windows=1000)

    result = fitted(noise(), options)

    best = int(np.argmin(result.validation_losses))
    assert len(result.validation_losses) == len(result.training_losses) == best + 1 + 4 < 100
    again = validation_loss(result.weights, noise(), noise().validation_ends)
    assert again == pytest.approx(result.validation_losses[best], rel=1e-12)
    assert result.validation_losses[best] < result.validation_losses[-1]


def test_a_stop_signal_ends_a_fit_with_its_complete_epochs() -> None:
    # Before each of five training batches (300 windows by 70) and the validation, and once after.
    checks_per_epoch = 5 + 1 + 1

    result = fitted(learnable(), stop=SetAfter(2 * checks_per_epoch + 3))

    assert len(result.validation_losses) == 2
    whole = fitted(learnable(), replace(OPTIONS, epochs=2))
    assert result.weights.tobytes() == whole.weights.tobytes()


def test_a_fit_that_is_stopped_at_once_returns_its_initial_weights() -> None:
    result = fitted(learnable(), stop=SetAfter(0))

    assert result.weights.tobytes() == initial_weights(SMALL, OPTIONS.seed).tobytes()
    assert result.validation_losses == ()


@pytest.mark.slow
def test_dropout_is_trained_by_keras() -> None:
    options = replace(OPTIONS, epochs=1, dropout=0.4)

    result = fit(SMALL, learnable(), options, threading.Event())

    theirs = fit_with_keras(SMALL, learnable(), options, threading.Event())
    assert result.training_losses == pytest.approx(theirs.training_losses, rel=1e-4)
    assert result.training_losses != pytest.approx(
        fitted(learnable()).training_losses[:1], rel=1e-3
    )


def scripted(skills: list[float | None]) -> tuple[FitCallbacks, list[Float32s]]:
    """Return callbacks with scripted scores, and the list of the weights that were scored."""
    seen = list[Float32s]()

    def score_epoch(weights: Float32s) -> float | None:
        seen.append(weights.copy())
        return skills[len(seen) - 1]

    return FitCallbacks(score_epoch), seen


def test_the_epoch_with_the_best_score_is_taken_and_patience_counts_from_it() -> None:
    callbacks, seen = scripted([0.1, None, 0.3, 0.3, 0.2, 0.9])
    options = replace(OPTIONS, epochs=100, patience=2)

    result = fitted(learnable(), options, callbacks=callbacks)

    assert result.skills == (0.1, None, 0.3, 0.3, 0.2)
    assert result.best_epoch == 2
    assert result.weights.tobytes() == seen[2].tobytes()
    assert (
        result.validation_losses
        == fitted(learnable(), replace(options, epochs=5)).validation_losses
    )


@pytest.mark.slow
def test_epochs_are_scored_with_keras_too() -> None:
    callbacks, seen = scripted([0.3, 0.1, 0.2])

    result = fit_with_keras(
        SMALL, learnable(), replace(OPTIONS, dropout=0.3), threading.Event(), callbacks
    )

    assert result.skills == (0.3, 0.1, 0.2)
    assert result.weights.tobytes() == seen[0].tobytes()


def test_without_any_score_the_first_epoch_is_taken() -> None:
    callbacks, _ = scripted([None] * 3)

    result = fitted(learnable(), replace(OPTIONS, patience=2, epochs=9), callbacks=callbacks)

    assert (result.best_epoch, result.epochs) == (0, 3)
