import gc
import weakref

import pytest

from shared.core.errors import BadInput, Unavailable, Unknown
from shared.core.model.card import Bundle
from shared.core.online.model import Model
from shared.log.model_cache import CAPACITY, ModelCache
from tests.support.builders import a_bundle

BUNDLES = {bundle.version: bundle for bundle in map(a_bundle, range(CAPACITY + 4))}


def load(version: str) -> Bundle:
    try:
        return BUNDLES[version]
    except KeyError:
        raise Unknown(version) from None


def test_a_thousand_promotions_keep_no_more_models_than_the_last_used() -> None:
    models = ModelCache(load)
    current = next(iter(BUNDLES))
    made: weakref.WeakSet[Model] = weakref.WeakSet()

    for _ in range(1000 // len(BUNDLES)):
        for version, bundle in BUNDLES.items():
            made.add(models(version, bundle.sha256))
            made.add(models(current, ""))

    gc.collect()
    assert len(made) == CAPACITY
    assert models(current, "").bundle == BUNDLES[current]


def test_a_digest_other_than_promised_is_refused_even_of_a_model_that_is_kept() -> None:
    models = ModelCache(load)
    [version, *_] = BUNDLES
    models(version, "")

    with pytest.raises(BadInput, match="promote it again"):
        models(version, "0" * 64)


def test_a_model_that_is_not_there_yet_is_waited_for() -> None:
    with pytest.raises(Unavailable, match="waits for it"):
        ModelCache(load)("v9", "")
