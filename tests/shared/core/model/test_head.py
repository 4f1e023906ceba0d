"""The head is the textbook's ridge regression with a prior, and nothing makes it break."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.arrays import Float64s
from shared.core.errors import BadInput
from shared.core.model.head import (
    MAX_INPUTS,
    Head,
    HeadPrior,
    HeadSettings,
    diagonal_head,
    head_inputs,
    head_of_information,
    information_roots,
    unit_upper,
    validate_head,
)

SEEDS = st.integers(0, 2**31)
SIZES = st.integers(1, 40)


def covariance(head: Head) -> Float64s:
    unit = unit_upper(head)
    matrix: Float64s = (unit * head.variances) @ unit.T
    return matrix


def a_problem(seed: int, size: int, count: int) -> tuple[Head, Float64s, Float64s]:
    """A base head, inputs (count, size) and labels (count,)."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(size, size))
    information = mixed @ mixed.T / size + 0.1 * np.eye(size)
    base = head_of_information(random.normal(size=size), information)
    return base, random.normal(size=(count, size)), random.normal(size=count)


def learnt(prior: HeadPrior, inputs: Float64s, labels: Float64s) -> Head:
    head = prior.head
    for row, label in zip(inputs, labels.tolist(), strict=True):
        head = prior.learn(head, row, label)
    return head


@given(SEEDS, SIZES, st.floats(0.01, 100.0))
@settings(max_examples=30)
def test_without_forgetting_it_is_ridge_regression_with_the_prior(
    seed: int, size: int, prior_observations: float
) -> None:
    base, inputs, labels = a_problem(seed, size, 50)

    head = learnt(HeadPrior(base, HeadSettings(1.0, prior_observations, inf)), inputs, labels)

    prior = prior_observations * np.linalg.inv(covariance(base))
    information = prior + inputs.T @ inputs
    weights = np.linalg.solve(information, prior @ base.weights + inputs.T @ labels)
    np.testing.assert_allclose(head.weights, weights, rtol=0, atol=1e-8)
    np.testing.assert_allclose(covariance(head), np.linalg.inv(information), rtol=0, atol=1e-8)
    assert (head.steps, head.is_finite) == (50, True)


@given(SEEDS, st.integers(1, 12), st.floats(0.9, 0.999))
@settings(max_examples=30)
def test_forgetting_weighs_observations_by_age_and_returns_to_the_prior(
    seed: int, size: int, forgetting: float
) -> None:
    base, inputs, labels = a_problem(seed, size, 40)

    head = learnt(HeadPrior(base, HeadSettings(forgetting, 1.0, inf)), inputs, labels)

    # The same sums, written out: each step also adds one observation of the prior.
    information = np.linalg.inv(covariance(base))
    moments = information @ base.weights
    for step, (row, label) in enumerate(zip(inputs, labels, strict=True)):
        root = information_roots(base)[step % size] * np.sqrt(size * (1.0 - forgetting))
        information = forgetting * information + np.outer(row, row) + np.outer(root, root)
        moments = forgetting * moments + row * label + root * (root @ base.weights)
    np.testing.assert_allclose(
        head.weights, np.linalg.solve(information, moments), rtol=0, atol=1e-7
    )


@given(SEEDS, st.sampled_from([0.9, 0.999, 1.0]), st.sampled_from([0.0, 1.0, 1e3]))
@settings(max_examples=6)
def test_inputs_that_never_move_leave_the_covariance_positive_and_bounded(
    seed: int, forgetting: float, reach: float
) -> None:
    """Flat candles for half a year: one input moves, one is always 1, all others repeat it."""
    size = 8
    base = diagonal_head(np.full(size, 0.5), np.ones(size))
    prior = HeadPrior(base, HeadSettings(forgetting, 10.0))
    moves = np.random.default_rng(seed).uniform(-reach, reach, 50_000)
    row, head = np.zeros(size), prior.head

    for move in moves.tolist():
        row[:] = (move, move, move, 1.0, 1.0, 0.0, 0.0, 0.0)
        head = prior.learn(head, row, move)

    assert head.is_finite
    eigenvalues = np.linalg.eigvalsh(covariance(head))
    assert eigenvalues.min() > 0.0
    # Between two of its turns an input's variance grows by 1 / forgetting a step.
    assert eigenvalues.max() < 0.1 * 1.01 * forgetting ** (-2 * size)
    np.testing.assert_allclose(head.weights[-3:], 0.5, atol=1e-6)


@given(SEEDS, st.floats(-1e9, 1e9), st.floats(0.9, 1.0))
@settings(max_examples=30)
def test_bounded_inputs_keep_it_finite(seed: int, reach: float, forgetting: float) -> None:
    base, inputs, labels = a_problem(seed, 20, 200)

    head = learnt(HeadPrior(base, HeadSettings(forgetting)), inputs * reach, labels * reach)

    assert head.is_finite
    assert np.isfinite(head.parameters).all()
    assert (head.variances > 0.0).all()


@given(SEEDS, st.floats(1.0, 1e300) | st.just(inf))
@settings(max_examples=30)
def test_one_absurd_label_counts_as_the_largest_error(seed: int, absurd: float) -> None:
    base, inputs, _ = a_problem(seed, 10, 1)
    prior = HeadPrior(base, HeadSettings(largest_error=2.0))
    expected = prior.head.predict(inputs[0])

    head = prior.learn(prior.head, inputs[0], expected + absurd)
    bounded = prior.learn(prior.head, inputs[0], expected + min(absurd, 2.0))

    np.testing.assert_allclose(head.weights, bounded.weights, rtol=1e-12)


@pytest.mark.parametrize("position", ["input", "label"])
def test_a_number_that_is_not_finite_is_reported(position: str) -> None:
    base, inputs, labels = a_problem(1, 10, 1)
    prior = HeadPrior(base, HeadSettings(largest_error=2.0))
    if position == "input":
        inputs[0, 3] = np.nan
    else:
        labels[0] = np.nan

    assert not prior.learn(prior.head, inputs[0], float(labels[0])).is_finite


def test_a_step_leaves_head_and_inputs_as_they_were() -> None:
    base, inputs, _ = a_problem(1, 10, 1)
    prior = HeadPrior(base, HeadSettings(0.99))
    before = prior.head.parameters.copy(), inputs.copy()

    prior.learn(prior.head, inputs[0], 1.0)

    assert np.array_equal(prior.head.parameters, before[0])
    assert np.array_equal(inputs, before[1])


@given(SEEDS, st.integers(1, 100))
def test_its_prediction_is_the_weighted_sum_of_its_inputs(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    weights, inputs = random.normal(size=size), random.normal(size=size)

    found = diagonal_head(weights, np.ones(size)).predict(inputs)

    assert found == pytest.approx(float(weights @ inputs), abs=1e-12)


def test_its_inputs_are_hidden_vector_row_and_one() -> None:
    hidden, row = np.array([0.5, -0.5], dtype=np.float32), np.array([3.0])

    assert head_inputs(hidden, row).tolist() == [0.5, -0.5, 3.0, 1.0]


@pytest.mark.parametrize("wrong", [np.zeros(9), np.zeros(10, np.float32), np.zeros(20)[::2]])
def test_inputs_that_do_not_fit_never_reach_the_kernel(wrong: Float64s) -> None:
    prior = HeadPrior(diagonal_head(np.zeros(10), np.ones(10)), HeadSettings())

    with pytest.raises(ValueError, match="a head of 10 inputs"):
        prior.head.predict(wrong)
    with pytest.raises(ValueError, match="a head of 10 inputs"):
        prior.learn(prior.head, wrong, 1.0)


def test_a_bundles_head_comes_back_as_it_was() -> None:
    base, _, _ = a_problem(1, 10, 1)

    assert validate_head(base.parameters, 10).parameters.tobytes() == base.parameters.tobytes()


@pytest.mark.parametrize(
    ("position", "value"), [(0, np.nan), (1, 1e7), (2, 0.0), (3, -1.0), (4, inf)]
)
def test_a_bundles_head_that_cannot_learn_is_rejected(position: int, value: float) -> None:
    parameters = diagonal_head(np.zeros(2), np.ones(2)).parameters.copy()
    parameters[position] = value

    with pytest.raises(BadInput, match="head"):
        validate_head(parameters, 2)


def test_a_bundles_head_of_another_size_is_rejected() -> None:
    with pytest.raises(BadInput, match="number of the head's parameters is 5"):
        validate_head(np.ones(5), 3)
    with pytest.raises(BadInput, match="inputs of the head"):
        validate_head(np.ones(5), MAX_INPUTS + 1)


def test_information_that_is_not_positive_definite_is_rejected() -> None:
    with pytest.raises(BadInput, match="not positive definite"):
        head_of_information(np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]]))


@pytest.mark.parametrize(
    "settings_",
    [{"forgetting": 0.5}, {"forgetting": 1.1}, {"prior_observations": 0}, {"largest_error": 0}],
)
def test_settings_that_cannot_learn_are_rejected(settings_: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="head"):
        HeadSettings(**settings_)
