"""Splits the candles of a training, fits scalers and builds the dataset."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields

from sklearn.preprocessing import MinMaxScaler

from services.trainer.data.dataset import (
    Dataset,
    DatasetOptions,
    FeatureFunction,
    Split,
    build_dataset,
    split_by_time,
    training_candles,
)
from services.trainer.fitting.options import FitOptions
from services.trainer.settings import TrainerSettings
from shared.core.arrays import Float64s
from shared.core.errors import UlstmError
from shared.core.features.registry import feature_set
from shared.core.market import BasketDefinition
from shared.core.market_table import MarketSequences
from shared.core.model.scaler import Scaler
from shared.core.sequence_mapping import SelectedSequences, own_columns
from shared.core.topics import interval_ms

log = logging.getLogger(__name__)


class NotEnoughCandles(UlstmError):
    """Raised when the archive has too few candles: try again when it has grown."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedData:
    """The dataset of a fit, and the candles held out from it."""

    sequences: Mapping[str, Float64s]  # all candles (n, columns), by symbol
    symbols: Collection[str]  # trained on
    scalers: Mapping[str, Scaler]
    split: Split
    dataset: Dataset

    @property
    def baskets(self) -> BasketDefinition | None:
        """The definition that the market's moves are of."""
        return _baskets(self.sequences)


def prepare(
    settings: TrainerSettings,
    sequences: Mapping[str, Float64s],
    compute: FeatureFunction | None = None,
) -> PreparedData:
    """Split the candles by time, and prepare the symbols that have enough of them.

    Args:
        settings: of the training.
        sequences: candles (n, columns) by symbol, oldest first.
        compute: returns a symbol's features; None folds them here.

    Raises:
        NotEnoughCandles: no symbol has enough candles.
    """
    s = settings
    if not sequences:
        raise NotEnoughCandles(
            f"topic {s.topics.klines} has no candles of the symbols and times asked for"
        )
    return prepare_with_split(s, sequences, split_sequences(s, sequences), compute)


def split_sequences(settings: TrainerSettings, sequences: Mapping[str, Float64s]) -> Split:
    """Split the time that the sequences cover as the settings say."""
    s, step_ms = settings, interval_ms(settings.interval)
    return split_by_time(sequences, step_ms, s.validation_share, s.held_out_share, s.scored_candles)


def prepare_with_split(
    settings: TrainerSettings,
    sequences: Mapping[str, Float64s],
    split: Split,
    compute: FeatureFunction | None = None,
) -> PreparedData:
    """Prepare the symbols that have enough candles in the training span.

    Raises:
        NotEnoughCandles: no symbol has.
    """
    s, step_ms = settings, interval_ms(settings.interval)
    chosen = _long_enough(sequences, split, s.min_candles)
    scalers = _fit_scalers(s.feature_set, chosen, split, step_ms)
    options = DatasetOptions(
        s.feature_set,
        s.window_length,
        is_common_move_removed=s.common_move == "removed",
        baskets=_baskets_version(sequences),
        is_standardised=s.labels_standardised,
        is_mirrored=s.mirrored,
    )
    dataset = build_dataset(chosen, scalers, options, split, step_ms, compute)
    _check_windows(dataset)
    log.info("training on %d symbols, %d windows", len(chosen), len(dataset.training_ends))
    return PreparedData(sequences, chosen, scalers, split, dataset)


def fit_scaler(rows: Float64s) -> Scaler:
    """Fit a symbol's MinMaxScaler on rows (n, features) of the training span."""
    fitted = MinMaxScaler().fit(rows)
    return Scaler(tuple(map(float, fitted.scale_)), tuple(map(float, fitted.min_)))


def fit_options(settings: TrainerSettings) -> FitOptions:
    """Return the options of the fit, which have the settings' names."""
    names = {field.name for field in fields(FitOptions)}
    given = settings.model_dump(include=names)
    return FitOptions(**given | {"huber_delta": settings.max_quadratic_error})


def _baskets(sequences: Mapping[str, Float64s]) -> BasketDefinition | None:
    return sequences.baskets if isinstance(sequences, MarketSequences) else None


def _baskets_version(sequences: Mapping[str, Float64s]) -> str | None:
    baskets = _baskets(sequences)
    return None if baskets is None else baskets.version


def _long_enough(
    sequences: Mapping[str, Float64s], split: Split, min_candles: int
) -> Mapping[str, Float64s]:
    own = own_columns(sequences)
    lengths = {symbol: len(training_candles(s, split)) for symbol, s in own.items()}
    chosen = [symbol for symbol, length in lengths.items() if length >= min_candles]
    if not chosen:
        raise NotEnoughCandles(
            f"the longest training span has {max(lengths.values())} candles,"
            f" MIN_CANDLES asks for {min_candles}; where memory cut it short, raise"
            " TRAINING_MEMORY_MB"
        )
    return SelectedSequences(sequences, chosen)


def _fit_scalers(
    name: str, sequences: Mapping[str, Float64s], split: Split, step_ms: int
) -> dict[str, Scaler]:
    """Fit a scaler to each symbol's training span, if the feature set needs one."""
    features = feature_set(name)
    if not features.needs_scaler:
        return {}
    return {
        symbol: fit_scaler(features.compute(training_candles(sequence, split), step_ms).rows)
        for symbol, sequence in sequences.items()
    }


def _check_windows(dataset: Dataset) -> None:
    training, validation = len(dataset.training_ends), len(dataset.validation_ends)
    if not training or not validation:
        raise NotEnoughCandles(
            f"{training} training and {validation} validation windows of"
            f" {dataset.window_length} candles; both are needed"
        )
