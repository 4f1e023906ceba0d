"""Exports a model version as a `.keras` file."""

from pathlib import Path

from services.trainer.settings import TrainerSettings
from shared.core.errors import BadInput
from shared.log.model_registry import ModelRegistry


def export_version(settings: TrainerSettings, version: str, path: Path) -> None:
    """Write a version's network as a `.keras` file.

    Raises:
        Unknown: the log has no such version.
        BadInput: the file's name does not end in .keras, or its folder is missing.
    """
    if path.suffix != ".keras" or not path.parent.is_dir():
        raise BadInput(
            "bad_keras_file",
            f"{path}: name a file in a folder that exists, with a name that ends in .keras",
        )
    registry = ModelRegistry(settings.kafka_bootstrap_servers, settings.topics)
    bundle = registry.bundles.load(version)

    # Here and not above: TensorFlow takes seconds to import, and no refusal waits for it.
    from services.trainer.fitting.keras_backend import save_keras_file

    save_keras_file(bundle.card.architecture, bundle.arrays(), path)
