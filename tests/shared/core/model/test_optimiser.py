import numpy as np

from shared.core.model.architecture import Architecture
from shared.core.model.network import Network
from shared.core.model.optimiser import Optimiser, new_learner


def test_sgd_subtracts_the_gradient_times_the_rate() -> None:
    architecture = Architecture((8,), 16, 3)
    random = np.random.default_rng(1)
    learner = new_learner(random.normal(size=architecture.weight_count()).astype(np.float32))
    jacobian = random.normal(size=architecture.weight_count()).astype(np.float32)

    stepped = Network(architecture).step(
        learner, Optimiser("sgd", rate=0.25), np.float32(0.5), jacobian
    )

    assert stepped.weights.tobytes() == (learner.weights - np.float32(0.25) * jacobian).tobytes()
    assert not stepped.parameters[1:].any()
    assert (stepped.steps, stepped.is_finite) == (1, True)


def test_an_sgd_step_that_overflows_is_not_finite() -> None:
    architecture = Architecture((8,), 16, 3)
    learner = new_learner(np.ones(architecture.weight_count(), dtype=np.float32))
    jacobian = np.full(architecture.weight_count(), 1e38, dtype=np.float32)

    stepped = Network(architecture).step(
        learner, Optimiser("sgd", rate=1.0), np.float32(1e3), jacobian
    )

    assert not stepped.is_finite
