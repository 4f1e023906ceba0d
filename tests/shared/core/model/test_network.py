"""The network is the textbook's, and its bits depend on nothing but its inputs."""

from concurrent.futures import ThreadPoolExecutor
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.arrays import Float32s
from shared.core.model.architecture import Architecture
from shared.core.model.network import Network
from shared.core.model.optimiser import Optimiser, apply_gradient, new_learner

SMALL = Architecture((8, 16), 20, 6)


def some(shape: tuple[int, ...], seed: int, reach: float = 0.4) -> Float32s:
    return np.random.default_rng(seed).uniform(-reach, reach, shape).astype(np.float32)


def reference(architecture: Architecture, weights: Float32s, rows: Float32s) -> float:
    """Return the output as the textbook defines it, in float64.

    Hochreiter and Schmidhuber 1997, with Keras' order of the gates.
    """
    at, arrays = 0, []
    for shape in architecture.shapes():
        size = int(np.prod(shape))
        arrays.append(weights[at : at + size].astype(np.float64).reshape(shape))
        at += size
    x = rows.astype(np.float64)
    for layer in range(len(architecture.widths)):
        w, u, b = arrays[3 * layer : 3 * layer + 3]
        h = c = np.zeros(architecture.widths[layer])
        outputs = []
        for row in x:
            i, f, g, o = np.split(row @ w + h @ u + b, 4)
            c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            h = np.tanh(c) / (1 + np.exp(-o))
            outputs.append(h)
        x = np.array(outputs)
    return float((x[-1] @ arrays[-2] + arrays[-1])[0])


@pytest.mark.parametrize(
    "architecture", [SMALL, Architecture((32, 32), 288, 6), Architecture((128,), 16, 1)]
)
def test_the_forward_pass_is_that_of_the_textbook(architecture: Architecture) -> None:
    weights, rows = (
        some((architecture.weight_count(),), 1),
        some((architecture.window_length, architecture.features), 2),
    )

    found = Network(architecture).predict(weights, rows)

    assert float(found) == pytest.approx(reference(architecture, weights, rows), abs=2e-6)


@given(st.integers(0, 2**31), st.data())
@settings(max_examples=25)
def test_the_jacobian_is_the_slope_of_the_output(seed: int, data: st.DataObject) -> None:
    weights, rows = some((SMALL.weight_count(),), seed), some((20, 6), seed + 1, 1.0)
    at = data.draw(st.integers(0, SMALL.weight_count() - 1))
    _, jacobian = Network(SMALL).jacobian(weights, rows)

    step = np.zeros_like(weights)
    step[at] = 1e-3
    slope = (reference(SMALL, weights + step, rows) - reference(SMALL, weights - step, rows)) / 2e-3

    assert float(jacobian[at]) == pytest.approx(slope, abs=2e-5)


@pytest.mark.parametrize("huber_delta", [inf, 0.1])
def test_a_batch_is_the_sum_of_its_windows_to_the_bit(huber_delta: float) -> None:
    network, weights = Network(SMALL), some((SMALL.weight_count(),), 1)
    windows, labels = some((9, 20, 6), 2, 1.0), some((9,), 3, 1.0)

    outputs, gradient = network.batch_gradient(weights, windows, labels, huber_delta)

    expected = np.zeros_like(weights)
    for window, label, output in zip(windows, labels, outputs, strict=True):
        alone, jacobian = network.jacobian(weights, window)
        assert output == alone
        expected += (
            np.float32(2.0)
            * np.clip(output - label, -np.float32(huber_delta), np.float32(huber_delta))
            * jacobian
        )
    assert gradient.tobytes() == expected.tobytes()
    assert network.predict_many(weights, windows).tobytes() == outputs.tobytes()


@pytest.mark.parametrize("architecture", [SMALL, Architecture((32,), 16, 24)])
def test_the_hidden_vector_gives_the_output_by_the_dense_layer(architecture: Architecture) -> None:
    network, weights = Network(architecture), some((architecture.weight_count(),), 1)
    windows = some((3, architecture.window_length, architecture.features), 2, 1.0)

    output, hidden = network.hidden(weights, windows[1])

    width = architecture.widths[-1]
    assert output == network.predict(weights, windows[1])
    assert hidden.shape == (width,)
    dense = weights[-1 - width : -1].astype(np.float64) @ hidden.astype(np.float64)
    assert float(output) == pytest.approx(dense + float(weights[-1]), abs=1e-6)


def test_hidden_vectors_are_the_same_alone_in_a_batch_and_in_the_jacobian() -> None:
    network, weights = Network(SMALL), some((SMALL.weight_count(),), 1)
    windows = some((3, 20, 6), 2, 1.0)

    outputs, hidden = network.hidden_many(weights, windows)

    for window, output, vector in zip(windows, outputs, hidden, strict=True):
        assert network.hidden(weights, window)[0] == output
        assert network.hidden(weights, window)[1].tobytes() == vector.tobytes()
        jacobian = network.jacobian(weights, window)[1]
        assert network.jacobian_hidden(jacobian).tobytes() == vector.tobytes()


def test_no_windows_have_no_gradient() -> None:
    network, weights = Network(SMALL), some((SMALL.weight_count(),), 1)

    outputs, gradient = network.batch_gradient(weights, some((0, 20, 6), 2), some((0,), 3))

    assert outputs.shape == (0,)
    assert not gradient.any()


def test_a_nan_label_gives_a_nan_gradient() -> None:
    network, weights = Network(SMALL), some((SMALL.weight_count(),), 1)

    _, gradient = network.batch_gradient(
        weights, some((1, 20, 6), 2), np.full(1, np.nan, np.float32), 0.1
    )

    assert np.isnan(gradient[-1])


def test_a_call_leaves_its_inputs_as_they_were() -> None:
    weights, rows = some((SMALL.weight_count(),), 1), some((20, 6), 2)
    before = weights.copy(), rows.copy()
    network = Network(SMALL)
    learner = new_learner(weights)
    parameters = learner.parameters.copy()

    _, jacobian = network.jacobian(weights, rows)
    network.step(learner, Optimiser(rate=0.1), np.float32(0.5), jacobian)

    assert np.array_equal(weights, before[0])
    assert np.array_equal(rows, before[1])
    assert np.array_equal(learner.parameters, parameters)


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_a_symbols_bits_do_not_depend_on_what_was_computed_before(seed: int) -> None:
    network = Network(SMALL)
    weights, rows = some((SMALL.weight_count(),), 7), some((20, 6), 8)
    alone = Network(SMALL).jacobian(weights, rows)

    network.jacobian(some((SMALL.weight_count(),), seed), some((20, 6), seed + 1, 5.0))
    among_others = network.jacobian(weights, rows)

    assert among_others[0] == alone[0]
    assert np.array_equal(among_others[1], alone[1])


def test_threads_share_a_network_and_each_gets_its_own_bits() -> None:
    network = Network(SMALL)
    asked = [
        (some((SMALL.weight_count(),), seed), some((20, 6), seed + 1)) for seed in range(0, 200, 2)
    ]
    alone = [network.jacobian(*one) for one in asked]

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda one: network.jacobian(*one), asked * 5))

    for (output, jacobian), (expected, slope) in zip(together, alone * 5, strict=True):
        assert output == expected
        assert np.array_equal(jacobian, slope)


def test_extreme_inputs_give_finite_outputs() -> None:
    rows = np.full((20, 6), 1e30, dtype=np.float32)
    weights = np.full(SMALL.weight_count(), -3.0, dtype=np.float32)

    assert np.isfinite(Network(SMALL).predict(weights, rows))


def test_arrays_that_do_not_fit_never_reach_the_kernel() -> None:
    network, weights = Network(SMALL), some((SMALL.weight_count(),), 1)

    with pytest.raises(ValueError, match="do not fit"):
        network.predict(weights, some((19, 6), 2))
    with pytest.raises(ValueError, match="contiguous float32"):
        network.predict(weights, np.zeros((20, 6)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="do not fit"):
        network.predict_many(weights, some((20, 6), 2))
    with pytest.raises(ValueError, match="contiguous float32"):
        network.predict_many(weights, some((8, 20, 6), 2)[::2])
    with pytest.raises(ValueError, match="do not fit"):
        network.batch_gradient(weights, some((4, 20, 6), 2), some((3,), 3))
    with pytest.raises(ValueError, match="contiguous float32"):
        network.batch_gradient(weights, some((4, 20, 6), 2), np.zeros(4))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Huber delta is 0"):
        network.batch_gradient(weights, some((4, 20, 6), 2), some((4,), 3), 0.0)
    with pytest.raises(ValueError, match="do not fit"):
        apply_gradient(new_learner(weights), Optimiser(), np.float32(1.0), weights[1:])
