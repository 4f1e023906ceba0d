"""Prequential forecasts: each held-out candle is predicted before it is learnt from, by the fold that runs live."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import isnan
from operator import itemgetter
from typing import Final

import numpy as np

from services.trainer.data.dataset import count_before
from shared.core.arrays import Float64s, read_only64
from shared.core.evaluation.backtest import (
    backtest,
    next_changes,
    volatility,
    without_online_learning,
)
from shared.core.evaluation.comparison import (
    CANDIDATE,
    RAW,
    Comparison,
    ForecastSeries,
    SeriesBySymbol,
)
from shared.core.evaluation.online_ridge import ridge_forecasts
from shared.core.model.card import Bundle
from shared.core.model.shrinkage import Shrinkage
from shared.core.online.context import FoldContext, FoldOptions
from shared.core.online.learning import learn
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState, fold
from shared.core.online.prediction import Prediction
from shared.core.online.state import SymbolState
from shared.core.online.symbol_step import repredict, step_symbol
from shared.core.records import Candle, Promotion
from shared.core.sequence import OPEN_TIME, SEQUENCE_LENGTH
from shared.reporting.progress import track_count

_TOLD_EVERY: Final = 50  # predictions between two words on progress
_BESIDE: Final = FoldOptions(digest=False)

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """A symbol's held-out candles and those before them; each a part of its sequence, (n, columns)."""

    symbol: str
    before: Float64s
    candles: Float64s

    @property
    def from_ms(self) -> int:
        """The open time of the first held-out candle."""
        return int(self.candles[0, OPEN_TIME])

    @property
    def sequence(self) -> Float64s:
        """All of them, oldest first."""
        return np.concatenate([self.before, self.candles])


def held_out_of(
    sequences: Mapping[str, Float64s], from_ms: int, most_candles: int, most_symbols: int
) -> list[HeldOut]:
    """Return the held-out parts: of evenly chosen symbols that have enough candles before, the oldest candles."""
    parts = []
    for symbol, sequence in sequences.items():
        start = count_before(sequence, from_ms)
        before = sequence[max(0, start - SEQUENCE_LENGTH) : start]
        parts.append(HeldOut(symbol, before, sequence[start : start + most_candles]))
    long_enough = [part for part in parts if len(part.candles) > 1]
    chosen = np.linspace(0, len(long_enough) - 1, min(most_symbols, len(long_enough)))
    return [long_enough[int(at)] for at in chosen]


def preceding(sequences: Mapping[str, Float64s], from_ms: int, most_candles: int) -> list[HeldOut]:
    """Return of each symbol as many candles right before a moment as are held out from there on."""
    parts = []
    for symbol, sequence in sequences.items():
        end = count_before(sequence, from_ms)
        start = max(0, end - min(most_candles, len(sequence) - end))
        parts.append(
            HeldOut(symbol, sequence[max(0, start - SEQUENCE_LENGTH) : start], sequence[start:end])
        )
    return parts


def with_past(parts: list[HeldOut], sequences: Mapping[str, Float64s]) -> list[HeldOut]:
    """Return the parts with all the candles before them."""
    wholes = [(part, sequences[part.symbol]) for part in parts]
    return [
        replace(part, before=whole[: count_before(whole, part.from_ms)]) for part, whole in wholes
    ]


def with_windows(parts: list[HeldOut], window_length: int) -> list[HeldOut]:
    """Return the parts that give a full window at their first candle: models then forecast the same candles."""
    return [part for part in parts if len(part.before) >= window_length]


def forecasts(
    bundles: Mapping[str, Bundle],
    parts: list[HeldOut],
    context: FoldContext,
    stoppable: Callable[[Progress], Progress] = lambda progress: progress,
) -> dict[str, SeriesBySymbol]:
    """Return the forecasts of bundles by name, on all processors, and show how far they are."""
    events = sum(len(part.candles) for part in parts)
    with track_count("scoring", events * len(bundles)) as progress:
        return {
            name: forecast(bundle, parts, context, os.cpu_count() or 1, stoppable(progress))
            for name, bundle in bundles.items()
        }


def contest_of(
    tracks: Mapping[str, SeriesBySymbol], parts: list[HeldOut], step_ms: int
) -> Comparison:
    """Return the contest of forecasts by name, the candidate among them: it takes part raw, too."""
    contest = Comparison(tracks[CANDIDATE], volatilities(parts, step_ms))
    for name, entered in tracks.items():
        contest.add(name, entered)
    contest.add(RAW, tracks[CANDIDATE], raw=True)
    return contest


def forecast(
    bundle: Bundle,
    parts: list[HeldOut],
    context: FoldContext,
    threads: int = 1,
    progress: Progress = lambda _: None,
) -> SeriesBySymbol:
    """Return each symbol's forecasts after a promotion of the bundle at the first held-out candle."""
    model = Model(bundle)

    def tracked(part: HeldOut) -> tuple[str, ForecastSeries]:
        return part.symbol, _track(_told(_predictions(model, part, context), progress))

    with ThreadPoolExecutor(threads) as pool:
        return dict(sorted(pool.map(tracked, parts)))


def forecast_with_one_set(
    bundle: Bundle,
    parts: list[HeldOut],
    context: FoldContext,
    progress: Progress = lambda _: None,
) -> SeriesBySymbol:
    """Return each symbol's forecasts where all symbols share one set of weights, which learns from each candle in turn.

    Candles go by time, those of a moment by symbol: as in the original, whose one network updates, then predicts, at
    each candle. The step is the fold's, on what the weights say at that moment; scores and calibration stay a symbol's.
    """
    # The fold scores and predicts with weights that it leaves as they are; the step is made beside it.
    model, still = Model(bundle), Model(without_online_learning(bundle))
    group = PartitionState(
        symbols={
            p.symbol: SymbolState(p.symbol, sequence=read_only64(p.before.copy())) for p in parts
        }
    )
    group.apply(
        fold(
            group,
            Promotion(still.version, bundle.sha256, context.numeric_profile),
            0,
            still,
            context,
        )
    )
    states, learner, unused = (
        group.symbols,
        model.base_learner,
        np.zeros(model.base_learner.weights.size, np.float32),
    )
    predictions: dict[str, list[Prediction]] = {part.symbol: [] for part in parts}
    for offset, (candle, change) in enumerate(_by_time(parts, context.interval_ms), 1):
        state = replace(states[candle.symbol], learner=learner)
        learner = learn(repredict(state, model), change, model).learner or model.base_learner
        state = replace(state, learner=learner, jacobian=unused)
        states[candle.symbol], prediction = step_symbol(
            state, candle, offset, still, context, _BESIDE
        )
        if prediction is not None:
            predictions[candle.symbol].append(prediction)
            learner = model.base_learner if prediction.was_reset else learner
        if offset % _TOLD_EVERY == 0:
            progress(_TOLD_EVERY)
    return {symbol: _track(iter(made)) for symbol, made in sorted(predictions.items())}


def linear(
    parts: list[HeldOut],
    context: FoldContext,
    shrinkage: Shrinkage,
    progress: Progress = lambda _: None,
) -> SeriesBySymbol:
    """Return the forecasts of an online ridge regression on the newest candle's features, calibrated like ours.

    It learns from the candles before the held-out ones as well: give it as many as the model has seen.
    """
    tracks = {}
    for part in parts:
        tracks[part.symbol] = ridge_forecasts(
            part.before, part.candles, context.interval_ms, shrinkage
        )
        progress(len(part.before) + len(part.candles))
    return tracks


def volatilities(parts: list[HeldOut], step_ms: int) -> dict[str, Float64s]:
    """Return by symbol what each forecast's change is measured in (n,), as known when it was made."""
    found = {}
    for part in parts:
        found[part.symbol] = volatility(part.before, part.candles, step_ms)
    return found


def _predictions(model: Model, part: HeldOut, context: FoldContext) -> Iterator[Prediction]:
    return backtest(model, part.symbol, part.sequence, part.from_ms, context)


def _by_time(parts: list[HeldOut], step_ms: int) -> Iterator[tuple[Candle, float | None]]:
    """Yield the held-out candles by time, then symbol, each with the label it brings."""
    rows = []
    for part in parts:
        brought = np.concatenate([[np.nan], next_changes(part.sequence, step_ms)[:-1]])[
            len(part.before) :
        ]
        rows += [
            (row[0], part.symbol, row, label)
            for row, label in zip(part.candles.tolist(), brought, strict=True)
        ]
    for time, symbol, row, label in sorted(rows, key=itemgetter(0, 1)):
        yield Candle(symbol, int(time), *row[1:]), None if isnan(label) else float(label)


def _told(predictions: Iterator[Prediction], progress: Progress) -> Iterator[Prediction]:
    made = 0
    for made, prediction in enumerate(predictions, 1):
        yield prediction
        if made % _TOLD_EVERY == 0:
            progress(_TOLD_EVERY)
    progress(made % _TOLD_EVERY)


def _track(predictions: Iterator[Prediction]) -> ForecastSeries:
    known = [p.previous for p in predictions if p.previous is not None]
    rows = [
        (
            p.open_time_ms,
            p.predicted_change,
            p.calibrated_change,
            np.nan if p.outcome_change is None else p.outcome_change,
        )
        for p in known
    ]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    return ForecastSeries(*columns)
