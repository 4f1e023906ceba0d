"""A model version's card as the page reads it. PURE."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any, Final

from services.dashboard.models.card_scores import decision_of, skill_of
from services.dashboard.models.decided_comparison import decided_comparison
from shared.core.evaluation.comparison import CHALLENGER, CHAMPION
from shared.core.model.card import Bundle

# Of every symbol, or long: of no use beside the pooled figures.
_LEFT_OUT: Final = frozenset(("scalers", "symbols", "baskets", "running"))


@dataclass(frozen=True, slots=True)
class PublishedBundle:
    """What is kept of a bundle: all but its arrays."""

    fields: Mapping[str, Any]
    comparison: Mapping[str, Any] | None  # with the champion of its time
    sha256: str


def describe_bundle(bundle: Bundle, published_ms: int | None) -> PublishedBundle:
    """Return what is shown of a bundle.

    Args:
        bundle: the bundle.
        published_ms: when it was published; None: not known.
    """
    card = bundle.card
    symbols = card.training.get("symbols")
    fields = {
        "version": bundle.version,
        "published_ms": published_ms,
        "trained_from_ms": card.trained_from_ms,
        "trained_through_ms": card.trained_through_ms,
        "parent": card.parent,
        "learns": card.learns,
        "feature_set": card.feature_set,
        "layers": list(card.architecture.widths),
        "weights": card.architecture.weight_count(),
        "symbols": len(symbols if isinstance(symbols, list) else card.scalers),
        "sha256": bundle.sha256,
        "skill": skill_of(card.scores, CHALLENGER),
        "over_champion": skill_of(card.scores, CHAMPION, "challenger_against"),
        "decision": decision_of(card.scores),
        "card": _plain(asdict(replace(card, scalers={}))),
    }
    comparison = decided_comparison(bundle.version, card.parent, card.scores)
    return PublishedBundle(fields, comparison, bundle.sha256)


def _plain(value: object) -> Any:
    """Return a value as JSON has it, without what is left out; an infinite number is None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items() if key not in _LEFT_OUT}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value
