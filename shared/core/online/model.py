"""A bundle ready to predict, and what a fold is told besides its records."""

from dataclasses import dataclass
from typing import Final

from shared.core.features.registry import feature_set
from shared.core.model.card import Bundle
from shared.core.model.network import Network, new_learner


class Model:
    """A bundle ready to predict: its network, and the learner that every symbol starts from."""

    def __init__(self, bundle: Bundle) -> None:
        """Take the bundle's weights; the learner is shared until a symbol's first step."""
        self.bundle = bundle
        self.card = bundle.card
        self.version = bundle.version
        self.features = feature_set(bundle.card.feature_set)
        self.network = Network(bundle.card.architecture)
        self.base = new_learner(bundle.weights)


@dataclass(frozen=True, slots=True)
class FoldContext:
    """What stands in every prediction besides the state: the interval and the numeric profile."""

    interval: str
    interval_ms: int
    numeric_profile: str

    def predicts(self, profile: str | None) -> bool:
        """Say whether this is the profile that predicts where `profile` rules; None: nothing names one yet."""
        return profile in (None, self.numeric_profile)


@dataclass(frozen=True, slots=True)
class FoldOptions:
    """What is computed beside a prediction. No value depends on it."""

    jacobian: bool = False  # as the next candle is here already: later, its forward pass would have to be made anew
    digest: bool = True  # of the state it was made from: a quarter of an event's cost


LIVE: Final = FoldOptions()
REPLAY: Final = FoldOptions(jacobian=True)
