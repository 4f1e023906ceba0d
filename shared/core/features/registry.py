"""Feature sets by the name that a card gives."""

from typing import Final

from shared.core.errors import BadInput
from shared.core.features.base import FeatureSet
from shared.core.features.levels import Levels
from shared.core.features.returns import Returns

_FEATURE_SETS: Final[dict[str, FeatureSet]] = {"levels": Levels(), "returns": Returns()}


def feature_set(name: str) -> FeatureSet:
    """Return the feature set that a card names.

    Raises:
        BadInput: it is not known here.
    """
    try:
        return _FEATURE_SETS[name]
    except KeyError:
        known = ", ".join(sorted(_FEATURE_SETS))
        message = (
            f"feature set {name!r} is not known here; known: {known}. A newer version may know it"
        )
        raise BadInput("unknown_features", message) from None
