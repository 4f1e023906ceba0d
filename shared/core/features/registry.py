"""The feature sets by name, for cards, the trainer's settings and its search."""

from collections.abc import Mapping
from typing import Final

from shared.core.errors import BadInput
from shared.core.features.base import FeatureSet
from shared.core.features.levels import Levels
from shared.core.features.returns import Returns

FEATURE_SETS: Final[Mapping[str, FeatureSet]] = {"levels": Levels(), "returns": Returns()}


def feature_set(name: str) -> FeatureSet:
    """Return the feature set of a name.

    Raises:
        BadInput: this version has none of that name.
    """
    if name not in FEATURE_SETS:
        known = ", ".join(sorted(FEATURE_SETS))
        message = (
            f"feature set {name!r} is not known here; known: {known}. A newer version may know it"
        )
        raise BadInput("unknown_features", message)
    return FEATURE_SETS[name]
