"""A bundle ready to predict."""

from shared.core.features.registry import feature_set
from shared.core.model.card import Bundle
from shared.core.model.network import Network
from shared.core.model.optimiser import new_learner


class Model:
    """A bundle's card, network and feature set, and the learner that every symbol starts from."""

    def __init__(self, bundle: Bundle) -> None:
        """Build the network; symbols share the base learner until their first step."""
        self.bundle = bundle
        self.card = bundle.card
        self.version = bundle.version
        self.feature_set = feature_set(bundle.card.feature_set)
        self.window_length = bundle.card.architecture.window_length
        self.network = Network(bundle.card.architecture)
        self.base_learner = new_learner(bundle.weights)
