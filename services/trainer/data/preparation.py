"""From candles to what the fit is given, and from the fit to a card."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from services.trainer.data.dataset import (
    Dataset,
    DatasetOptions,
    FeatureFunction,
    Split,
    SplitShares,
    build_dataset,
    feature_function,
    split_by_time,
    training_candles,
)
from services.trainer.fitting.fit import fit_scaler
from services.trainer.fitting.options import FitOptions, FitResult
from services.trainer.settings import TrainerSettings
from shared.core.arrays import Float64s
from shared.core.errors import UlstmError
from shared.core.features.registry import feature_set
from shared.core.model.card import Bundle, Card
from shared.core.model.scaler import Scaler
from shared.core.sequence import OPEN_TIME
from shared.core.topics import interval_ms
from shared.reporting.progress import track_count

log = logging.getLogger("ulstm")


class NotEnoughCandles(UlstmError):
    """Raised when the archive has too few candles yet: try again when it has grown."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedData:
    """What the fit is given, and what is held out from it."""

    sequences: Mapping[str, Float64s]
    symbols: Collection[str]  # trained on
    scalers: Mapping[str, Scaler]
    split: Split
    dataset: Dataset


def prepare(
    settings: TrainerSettings,
    sequences: Mapping[str, Float64s],
    over: FeatureFunction | None = None,
) -> PreparedData:
    """Split the candles by time, and fit a scaler to the training span of each symbol that has enough of them.

    `over` gives features that are known already.

    Raises:
        NotEnough: no symbol has.
    """
    s = settings
    if not sequences:
        message = f"topic {s.topics.klines} has no candles of the symbols and times asked for"
        raise NotEnoughCandles(message)
    step_ms = interval_ms(s.interval)
    split = split_by_time(
        sequences, SplitShares(s.validation_share, s.held_out_share, s.scored_candles), step_ms
    )
    return prepare_with_split(s, sequences, split, over)


def prepare_with_split(
    settings: TrainerSettings,
    sequences: Mapping[str, Float64s],
    split: Split,
    over: FeatureFunction | None = None,
) -> PreparedData:
    """Prepare what a split by time says.

    Raises:
        NotEnough: no symbol has enough candles.
    """
    s, step_ms = settings, interval_ms(settings.interval)
    known = over or feature_function(step_ms)
    parts = {symbol: training_candles(sequence, split) for symbol, sequence in sequences.items()}
    long_enough = {
        symbol: sequences[symbol] for symbol, part in parts.items() if len(part) >= s.min_candles
    }
    if not long_enough:
        most = max(map(len, parts.values()))
        message = (
            f"the longest training span has {most} candles, MIN_CANDLES asks for {s.min_candles}"
        )
        raise NotEnoughCandles(message)
    chosen = feature_set(s.feature_set)
    scalers = (
        {symbol: fit_scaler(chosen.compute(parts[symbol], step_ms)[1]) for symbol in long_enough}
        if chosen.needs_scaler
        else {}
    )
    inputs = DatasetOptions(
        s.feature_set, s.window_length, s.common_move == "removed", s.target, s.mirrored
    )
    with track_count("features", sum(map(len, long_enough.values()))) as progress:

        def told(name: str, symbol: str, sequence: Float64s) -> tuple[Float64s, Float64s]:
            found = known(name, symbol, sequence)
            progress(len(long_enough[symbol]))
            return found

        dataset = build_dataset(long_enough, scalers, inputs, split, step_ms, told)
    _check_windows(dataset)
    log.info("training on %d symbols, %d windows", len(long_enough), len(dataset.training_ends))
    return PreparedData(sequences, long_enough, scalers, split, dataset)


def fit_options(settings: TrainerSettings) -> FitOptions:
    """Return what the settings say about the fit."""
    s = settings
    return FitOptions(
        epochs=s.epochs,
        patience=s.patience,
        windows_per_epoch=s.windows_per_epoch,
        validation_windows=s.validation_windows,
        batch_size=s.batch_size,
        learning_rate=s.learning_rate,
        dropout=s.dropout,
        seed=s.seed,
        huber_delta=s.largest_error,
        is_falling=s.learning_rate_falls,
        averaging=s.averaging,
    )


def build_card(
    settings: TrainerSettings, prepared: PreparedData, fitted: FitResult, incumbent: Bundle | None
) -> Card:
    """Return the candidate's card, without scores yet."""
    s, step_ms = settings, interval_ms(settings.interval)
    firsts = [int(prepared.sequences[symbol][0, OPEN_TIME]) for symbol in prepared.symbols]
    return Card(
        architecture=s.architecture,
        feature_set=s.feature_set,
        label_scale=prepared.dataset.label_scale,
        optimiser=s.optimiser,
        huber_delta=s.largest_error,
        shrinkage=s.shrinkage,
        target=s.target,
        scalers=prepared.scalers,
        trained_from_ms=min(firsts),
        # Early stopping has seen the validation span.
        trained_through_ms=prepared.split.validation_until_ms - step_ms,
        parent=None if incumbent is None else incumbent.version,
        training={
            "symbols": sorted(prepared.symbols),
            "training_until_ms": prepared.split.training_until_ms,
            "training_windows": len(prepared.dataset.training_ends),
            "training_losses": list(fitted.training_losses),
            "validation_losses": list(fitted.validation_losses),
            "online_skills": list(fitted.skills),
            "chosen_by": "online" if fitted.skills else "loss",
            "chosen_epoch": fitted.best + 1,
            "windows_per_epoch": s.windows_per_epoch,
            "batch_size": s.batch_size,
            "learning_rate": s.learning_rate,
            "learning_rate_falls": s.learning_rate_falls,
            "averaging": s.averaging,
            "common_move": s.common_move,
            "mirrored": s.mirrored,
            "dropout": s.dropout,
            "seed": s.seed,
        },
    )


def _check_windows(dataset: Dataset) -> None:
    if not len(dataset.training_ends) or not len(dataset.validation_ends):
        message = (
            f"{len(dataset.training_ends)} training and {len(dataset.validation_ends)} validation windows of"
            f" {dataset.window_length} candles; both are needed"
        )
        raise NotEnoughCandles(message)
