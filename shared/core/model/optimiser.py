"""The settings of an optimiser."""

from dataclasses import dataclass
from typing import Literal

from shared.core.model.limits import refuse


@dataclass(frozen=True, slots=True)
class Optimiser:
    """Adam as Keras has it, or plain gradient descent, which uses the rate alone."""

    name: Literal["adam", "sgd"] = "adam"
    rate: float = 1e-5
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        """Refuse what cannot converge."""
        if not 0 <= self.rate <= 1:
            refuse("optimiser rate", self.rate, "0 to 1")
        for beta in (self.beta_1, self.beta_2):
            if not 0 <= beta < 1:
                refuse("optimiser beta", beta, "0 to below 1")
        if not 1e-12 <= self.epsilon <= 1:
            refuse("optimiser epsilon", self.epsilon, "1e-12 to 1")
