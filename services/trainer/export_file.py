"""A model version as a `.keras` file."""

from pathlib import Path

from services.trainer.keras_fit import save
from services.trainer.settings import TrainerSettings
from shared.adapters.registry import Registry
from shared.core.errors import BadInput


def export_version(settings: TrainerSettings, version: str, path: Path) -> None:
    """Write a version as a `.keras` file.

    Raises:
        Unknown: the log has none of this version.
        BadInput: the file's name does not end in .keras, or its folder is missing.
    """
    if path.suffix != ".keras" or not path.parent.is_dir():
        message = f"{path}: give a file in a folder that exists, with a name that ends in .keras"
        raise BadInput("bad_keras_file", message)
    bundle = Registry(settings.kafka_bootstrap_servers, settings.topics).load(version)
    save(bundle.card.architecture, bundle.arrays(), path)
