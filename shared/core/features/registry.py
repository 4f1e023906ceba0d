"""The feature sets by name, for cards, the trainer's settings and its search."""

from collections.abc import Mapping
from typing import Final

from shared.core.errors import BadInput
from shared.core.features.base import FeatureSet
from shared.core.features.levels import Levels
from shared.core.features.market import MarketFeatures
from shared.core.features.returns import Returns

FEATURE_SETS: Final[Mapping[str, FeatureSet]] = {
    "levels": Levels(),
    "market": MarketFeatures(),
    "returns": Returns(),
}


def feature_set(name: str, baskets: str | None = None) -> FeatureSet:
    """Return the feature set of a name.

    Args:
        name: its name.
        baskets: the version of the baskets that it looks at, if it looks at any; None: none.

    Raises:
        BadInput: this version has none of that name.
    """
    if name not in FEATURE_SETS:
        known = ", ".join(sorted(FEATURE_SETS))
        message = (
            f"feature set {name!r} is not known here; known: {known}. A newer version may know it"
        )
        raise BadInput("unknown_features", message)
    chosen = FEATURE_SETS[name]
    return MarketFeatures(baskets) if isinstance(chosen, MarketFeatures) else chosen
