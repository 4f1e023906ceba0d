"""A cache of the models that were used last."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from shared.core.errors import BadInput, Blocked, Unknown
from shared.core.model.card import Bundle
from shared.core.online.model import Model
from shared.log.bundle_store import WITHDRAWN

WRONG_DIGEST: Final = "wrong_digest"
# Why a promotion is rejected whichever version of the program reads it.
REJECTED_BY_ALL: Final = frozenset({WRONG_DIGEST, WITHDRAWN})
CAPACITY: Final = 16  # about 2 MB each, and a replica predicts with one or two

LoadBundle = Callable[[str], Bundle]
"""version -> bundle; Unknown if the log has none of this version."""


class ModelCache:
    """Models by version, the least recently used evicted first."""

    def __init__(self, load: LoadBundle) -> None:
        """Take the function that reads a bundle from the log."""
        self._load = load
        self._models: OrderedDict[str, Model] = OrderedDict()

    def __call__(self, version: str, sha256: str) -> Model:
        """Return the model of a version.

        Args:
            version: the model version.
            sha256: the digest in its promotion; empty: it was checked at the promotion.

        Raises:
            BadInput: the bundle is unusable or has another digest.
            Blocked: the log does not show the bundle yet; a release writes it in one
                transaction with its promotion, so it will.
        """
        model = self._models.get(version) or self._load_model(version)
        self._models.move_to_end(version)
        if sha256 and model.bundle.sha256 != sha256:
            message = (
                f"bundle {version} has SHA-256 {model.bundle.sha256}, its promotion says {sha256};"
                " promote it again"
            )
            raise BadInput(WRONG_DIGEST, message)
        return model

    def _load_model(self, version: str) -> Model:
        try:
            bundle = self._load(version)
        except Unknown as error:
            raise Blocked(
                f"{error}; the symbol group waits for it (publish it with `ulstm models import`)"
            ) from error
        self._models[version] = model = Model(bundle)
        if len(self._models) > CAPACITY:
            self._models.popitem(last=False)
        return model
