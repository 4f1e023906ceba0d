"""Models by version, kept once loaded."""

from collections.abc import Callable

from shared.core.card import Bundle
from shared.core.errors import BadInput, Unavailable, Unknown
from shared.core.fold import Model

LoadBundle = Callable[[str], Bundle]
"""version -> bundle; Unknown if the log has none of this version."""


class KnownModels:
    """The models of the promotions seen so far."""

    def __init__(self, load: LoadBundle) -> None:
        """Take what reads a bundle from the log."""
        self._load = load
        self._models: dict[str, Model] = {}

    def __call__(self, version: str, sha256: str) -> Model:
        """Return the model of a version; an empty digest means that it was checked when it was promoted.

        Raises:
            BadInput: the bundle is unusable or has another digest.
            Unavailable: the log does not show it yet; it was written with its promotion, so it will.
        """
        if version not in self._models:
            try:
                bundle = self._load(version)
            except Unknown as error:
                message = f"{error}; the symbol group waits for it (publish it with `ulstm models import`)"
                raise Unavailable(message) from error
            self._models[version] = Model(bundle)
        model = self._models[version]
        if sha256 and model.bundle.sha256 != sha256:
            message = (
                f"bundle {version} has SHA-256 {model.bundle.sha256}, its promotion says {sha256}; promote it again"
            )
            raise BadInput("wrong_digest", message)
        return model
