"""A bundle ready to predict."""

from collections.abc import Mapping
from copy import copy
from typing import Self

from shared.core.features.registry import feature_set
from shared.core.model.card import Bundle
from shared.core.model.head import HeadPrior
from shared.core.model.limits import reject_bundle
from shared.core.model.network import Network
from shared.core.model.optimiser import new_learner
from shared.core.online.state import SymbolState
from shared.core.online.state_codec import decode_state


class Model:
    """A bundle's card, network and feature set, and what every symbol starts from."""

    def __init__(self, bundle: Bundle) -> None:
        """Build the network and read the starts; symbols share what they have not moved yet.

        Raises:
            BadInput: a start is damaged, or does not fit the card.
        """
        self.bundle = bundle
        self.card = bundle.card
        self.version = bundle.version
        self.feature_set = feature_set(bundle.card.feature_set, bundle.card.baskets)
        self.window_length = bundle.card.architecture.window_length
        self.network = Network(bundle.card.architecture)
        self.base_learner = new_learner(bundle.weights)
        self.steps_by_gradient = bundle.card.learns in {"gradient", "both"}
        self.steps_head = bundle.card.learns in {"head", "both"}
        head = bundle.head
        self.head_prior = None if head is None else HeadPrior(head, bundle.card.head)
        self.starts: Mapping[str, SymbolState] = {
            symbol: self._read_start(symbol, data) for symbol, data in bundle.starts.items()
        }

    def with_starts(self, starts: Mapping[str, SymbolState]) -> Self:
        """Return the same model whose symbols start from these states."""
        other = copy(self)
        other.starts = starts
        return other

    def _read_start(self, symbol: str, data: bytes) -> SymbolState:
        """Decode a symbol's start and check that it fits this model.

        Raises:
            BadInput: it does not.
        """
        start = decode_state(data)
        features, learner, head = start.features, start.learner, start.head
        columns = self.card.architecture.features
        fits = (
            start.symbol == symbol
            and len(start.sequence) == 1
            and features is not None
            and len(features.carry) == len(self.feature_set.initial_carry)
            and features.rows.shape[1] == columns
            and len(features.rows) <= self.window_length
            and (learner is None or self.steps_by_gradient)
            and (learner is None or learner.weights.shape == self.base_learner.weights.shape)
            and (head is None or self.steps_head)
            and (head is None or self.head_prior is not None)
            and (head is None or head.inputs == self.head_prior.head.inputs)  # type: ignore[union-attr]
        )
        if not fits:
            reject_bundle(f"start of {symbol}", "of another model", "a state of this card's shapes")
        return start
