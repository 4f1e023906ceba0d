"""The weights of a `.keras` file as a model version. Runs without TensorFlow."""

from dataclasses import replace
from pathlib import Path

from services.trainer.keras_file import read_weights
from services.trainer.settings import TrainerSettings
from shared.adapters.bundles import encode_bundle, version_of
from shared.adapters.registry import Registry
from shared.core.card import digest


def import_version(settings: TrainerSettings, path: Path, like: str) -> str:
    """Publish a file's weights under another version's card; return the new version, which is not promoted.

    Raises:
        Unknown: the log has none of this version.
        BadInput: the file does not hold the weights of its architecture.
    """
    registry = Registry(settings.kafka_bootstrap_servers, settings.topics)
    card = registry.load(like).card
    weights = read_weights(path, card.architecture)
    training = {"imported_from": path.name, "weights_sha256": digest(weights.tobytes())}
    imported = replace(card, parent=like, scores={}, training=training)
    encoded = encode_bundle(imported, weights)
    version = version_of(imported, encoded)
    registry.release(encoded, version, imported.trained_through_ms, promote=False)
    return version
