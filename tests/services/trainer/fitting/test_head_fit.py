"""The head that the trainer gives every symbol."""

import numpy as np
import pytest

from services.trainer.data.dataset import Dataset
from services.trainer.fitting.head_fit import fit_head
from shared.core.arrays import Float32s
from shared.core.errors import BadInput
from shared.core.model.architecture import Architecture
from shared.core.model.head import HeadPrior, HeadSettings, head_inputs, unit_upper
from shared.core.model.network import Network

ARCHITECTURE = Architecture((8,), 16, 3)
ROWS = 400
IDLE = 2  # a column that never moved in training


def a_dataset() -> Dataset:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(ROWS, 3)).astype(np.float32)
    rows[:, IDLE] = 0.0
    ends = np.arange(15, ROWS)
    labels = rng.normal(size=ROWS).astype(np.float32)
    return Dataset(rows, labels, ends, ends, 16, 1.0)


def some_weights() -> Float32s:
    weights = np.random.default_rng(1).uniform(-0.3, 0.3, ARCHITECTURE.weight_count())
    return weights.astype(np.float32)


def test_before_its_first_step_the_head_says_what_the_network_says() -> None:
    dataset, weights = a_dataset(), some_weights()
    network, window = Network(ARCHITECTURE), dataset.windows(np.array([200]))[0]

    head = fit_head(ARCHITECTURE, weights, dataset)

    output, hidden = network.hidden(weights, window)
    inputs = head_inputs(hidden, window[-1].astype(np.float64))
    assert head.predict(inputs) == pytest.approx(float(output), abs=1e-6)


def test_its_certainty_is_that_of_one_training_window() -> None:
    dataset, weights = a_dataset(), some_weights()
    network = Network(ARCHITECTURE)
    _, hidden = network.hidden_many(weights, dataset.windows(dataset.training_ends))
    rows = dataset.rows[dataset.training_ends]
    inputs = np.column_stack([hidden, rows, np.ones(len(rows))]).astype(np.float64)

    head = fit_head(ARCHITECTURE, weights, dataset)

    unit = unit_upper(head)
    covariance = unit * head.variances @ unit.T
    information = inputs.T @ inputs / len(inputs) + 1e-4 * np.eye(12)
    assert np.linalg.inv(covariance) == pytest.approx(information, rel=1e-3, abs=1e-6)


def test_a_column_that_never_moved_does_not_run_away_when_it_does() -> None:
    head = HeadPrior(
        fit_head(ARCHITECTURE, some_weights(), a_dataset()),
        HeadSettings(prior_observations=24_000.0),
    )
    inputs = np.zeros(12)
    inputs[8 + IDLE] = 4.0

    moved = head.learn(head.head, inputs, 1.0)

    assert abs(moved.predict(inputs) - head.head.predict(inputs)) <= 1.0


def test_weights_that_are_not_finite_give_no_head() -> None:
    weights = np.full_like(some_weights(), np.nan)

    with pytest.raises(BadInput):
        fit_head(ARCHITECTURE, weights, a_dataset())
