"""Publishes the weights of a `.keras` file as a version, and writes such files.

Only writing needs TensorFlow.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from services.trainer.data.scaler_table import read_scalers
from services.trainer.keras_files.live_state import read_live_state
from services.trainer.keras_files.reader import read_weights, read_weights_with_head
from services.trainer.settings import TrainerSettings
from shared.adapters.bundle_codec import encode_bundle, version_of
from shared.core.arrays import Float32s
from shared.core.errors import BadInput, BadSetting
from shared.core.model.card import Bundle, Card, Learns, sha256_hex
from shared.core.model.head import Head, validate_head
from shared.core.model.scaler import Scaler
from shared.core.online.network_io import symbol_head
from shared.core.timestamps import format_timestamp
from shared.log.model_registry import ModelRegistry

_LEARNT: Final[Mapping[Learns, str]] = {
    "nothing": "no weight learns online",
    "gradient": "all weights have learnt",
    "head": "the last layer has learnt, the LSTM layers are those of the version",
    "both": "all weights have learnt",
}


def export_version(settings: TrainerSettings, version: str, path: Path) -> None:
    """Write a version's network as a `.keras` file.

    Raises:
        Unknown: the log has no such version.
        BadInput: the file's name does not end in .keras, or its folder is missing.
    """
    _check_name(path)
    bundle = _registry(settings).bundles.load(version)
    _save(bundle, path)


def export_live_weights(settings: TrainerSettings, symbol: str, path: Path) -> str:
    """Write a symbol's network as it is at the end of the log; return what the file holds.

    Raises:
        Unknown: the symbol has no weights.
        BadInput: the file's name does not end in .keras, or its folder is missing.
    """
    _check_name(path)
    state, model = read_live_state(settings, symbol, _registry(settings).bundles.load)
    weights = (state.learner or model.base_learner).weights
    head = None if model.bundle.head is None else symbol_head(state, model)
    _save(replace(model.bundle, weights=weights, head=head), path)
    return (
        f"{path}: {symbol} after {state.steps:,} steps with {model.version}, newest candle"
        f" {format_timestamp(state.last_open_time_ms or 0)}; {_LEARNT[model.card.learns]}; left"
        f" out: the states of optimiser and calibration{_describe_head(head)}"
    )


def _describe_head(head: Head | None) -> str:
    return "" if head is None else ", the covariance of the head, which is the last layer"


def _check_name(path: Path) -> None:
    if path.suffix != ".keras" or not path.parent.is_dir():
        raise BadInput(
            "bad_keras_file",
            f"{path}: name a file in a folder that exists, with a name that ends in .keras",
        )


def _save(bundle: Bundle, path: Path) -> None:
    # Here and not above: TensorFlow takes seconds to import, and no refusal waits for it.
    from services.trainer.fitting.keras_backend import save_keras_file

    save_keras_file(bundle, path)


def import_with_card(settings: TrainerSettings, path: Path, like: str) -> str:
    """Publish a file's weights with another version's card; return the new version.

    The new version is not promoted. A head gets the weights of the file's last layer and the
    covariance that it has in `like`. Where symbols start is left out: it belongs to the weights of
    `like`.

    Raises:
        Unknown: the log has no version `like`.
        BadInput: the file does not hold the weights of its architecture.
    """
    bundle = _registry(settings).bundles.load(like)
    card, head = bundle.card, bundle.head
    if head is None:
        weights = read_weights(path, card.architecture)
    else:
        weights, means = read_weights_with_head(path, card.architecture)
        head = validate_head(np.concatenate([means, head.parameters[head.inputs :]]), head.inputs)
    origin = _describe_origin(path, weights)
    card = replace(card, parent=like, scores={}, training=origin)
    return _publish(settings, card, weights, head)


def import_with_scalers(settings: TrainerSettings, path: Path, table: Path, now_ms: int) -> str:
    """Publish a file's weights with the card of `read_with_scalers`; return the new version.

    The new version is not promoted.
    """
    return _publish(settings, *read_with_scalers(settings, path, table, now_ms))


def read_with_scalers(
    settings: TrainerSettings, path: Path, table: Path, now_ms: int
) -> tuple[Card, Float32s]:
    """Read a file's weights (weights,), with a card of the settings and a table of ranges.

    The network predicts the next change as a fraction, from price levels on the symbol's scaler.
    Its training counts as having seen every candle up to TRAIN_TO or, without that, up to `now_ms`.

    Raises:
        BadSetting: FEATURE_SET is not levels, LABELS_STANDARDISED is true, or the table lacks one
            of SYMBOLS.
        BadInput: the file does not hold the weights of the settings' architecture, or the table
            cannot be read.
    """
    if settings.feature_set != "levels" or settings.labels_standardised:
        raise BadSetting(
            f"FEATURE_SET is {settings.feature_set}, LABELS_STANDARDISED is"
            f" {str(settings.labels_standardised).lower()}; --scalers is for networks that predict"
            " changes as they are from price levels: levels, false (PRESET=original)"
        )
    weights = read_weights(path, settings.architecture)
    through_ms = min(settings.span.through_ms, now_ms)
    card = Card(
        architecture=settings.architecture,
        feature_set=settings.feature_set,
        label_scale=1.0,
        optimiser=settings.optimiser,
        huber_delta=settings.max_quadratic_error,
        scalers=_select(read_scalers(table), settings.wanted_symbols, table),
        trained_from_ms=min(max(settings.span.from_ms, 0), through_ms),
        trained_through_ms=through_ms,
        shrinkage=settings.shrinkage,
        training={**_describe_origin(path, weights), "scalers_from": table.name},
    )
    return card, weights


def _select(
    scalers: Mapping[str, Scaler], symbols: tuple[str, ...], table: Path
) -> Mapping[str, Scaler]:
    missing = [symbol for symbol in symbols if symbol not in scalers]
    if missing:
        raise BadSetting(f"SYMBOLS names {', '.join(missing)}; {table} has {', '.join(scalers)}")
    return {symbol: scalers[symbol] for symbol in symbols or scalers}


def _describe_origin(path: Path, weights: Float32s) -> dict[str, str]:
    return {"imported_from": path.name, "weights_sha256": sha256_hex(weights.tobytes())}


def _publish(
    settings: TrainerSettings, card: Card, weights: Float32s, head: Head | None = None
) -> str:
    encoded = encode_bundle(card, weights, head)
    version = version_of(card, encoded)
    _registry(settings).release(encoded, version, card.trained_through_ms, promote=False)
    return version


def _registry(settings: TrainerSettings) -> ModelRegistry:
    return ModelRegistry(settings.kafka, settings.topics)
