"""Prequential scores: each held-out candle is predicted before it is learnt from, by the very fold that runs live."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import reduce
from itertools import chain
from typing import Any, Final

import numpy as np

from shared.core.arrays import Float64s
from shared.core.backtest import backtest
from shared.core.card import Bundle
from shared.core.features import OPEN_TIME
from shared.core.fold import Deployment, Model
from shared.core.scores import Scores
from shared.core.state import SEQUENCE_LENGTH

ScoresBySymbol = Mapping[str, Scores]

_TOLD_EVERY: Final = 50  # predictions between two words on progress


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """A symbol's held-out candles and those before them; each a part of its sequence, (n, columns)."""

    symbol: str
    before: Float64s
    candles: Float64s


def held_out_of(sequences: Mapping[str, Float64s], from_ms: int, most_candles: int, most_symbols: int) -> list[HeldOut]:
    """Return the held-out parts: of evenly chosen symbols that have enough candles before, the oldest candles."""
    parts = []
    for symbol, sequence in sequences.items():
        start = int(np.searchsorted(sequence[:, 0], from_ms))
        before = sequence[max(0, start - SEQUENCE_LENGTH) : start]
        parts.append(HeldOut(symbol, before, sequence[start : start + most_candles]))
    long_enough = [part for part in parts if len(part.candles) > 1]
    chosen = np.linspace(0, len(long_enough) - 1, min(most_symbols, len(long_enough)))
    return [long_enough[int(at)] for at in chosen]


def with_windows(parts: list[HeldOut], window_length: int) -> list[HeldOut]:
    """Return the parts that give a full window at their first candle: models then score the same candles."""
    return [part for part in parts if len(part.before) >= window_length]


def score(
    bundle: Bundle,
    parts: list[HeldOut],
    deployment: Deployment,
    threads: int = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Scores]:
    """Return each symbol's scores after a promotion of the bundle at the first held-out candle."""

    def scored(symbols: list[HeldOut]) -> list[tuple[str, Scores]]:
        model = Model(bundle)  # one a thread: it holds the scratch memory of a call
        return [(part.symbol, _scored(model, part, deployment, progress)) for part in symbols]

    with ThreadPoolExecutor(threads) as pool:
        shares = [parts[at::threads] for at in range(threads)]
        return dict(sorted(chain.from_iterable(pool.map(scored, shares))))


def frozen(bundle: Bundle) -> Bundle:
    """Return the same model without online learning."""
    optimiser = replace(bundle.card.optimiser, rate=0.0)
    return replace(bundle, card=replace(bundle.card, optimiser=optimiser))


def pooled(scores: ScoresBySymbol) -> Scores:
    """Return the sums over all symbols."""
    return reduce(Scores.plus, scores.values(), Scores())


def relative_error(scores: ScoresBySymbol) -> float | None:
    """Return the mean over symbols of squared error / that of zero change; None if nothing moved.

    A quiet symbol counts as much as a wild one.

    >>> relative_error({"A": Scores(1, 0.5, 1.0), "B": Scores(1, 3.0, 2.0)})
    1.0
    """
    ratios = [s.squared_error / s.squared_error_zero for s in scores.values() if s.squared_error_zero > 0]
    return sum(ratios) / len(ratios) if ratios else None


def as_plain(scores: ScoresBySymbol) -> dict[str, Any]:
    """Return scores as plain values for a card."""
    return {
        "relative_error": relative_error(scores),
        "pooled": asdict(pooled(scores)),
        "symbols": {symbol: asdict(one) for symbol, one in scores.items()},
    }


def _scored(model: Model, part: HeldOut, deployment: Deployment, progress: Callable[[int], None]) -> Scores:
    sequence = np.concatenate([part.before, part.candles])
    scores = Scores()
    from_ms = int(part.candles[0, OPEN_TIME])
    for made, prediction in enumerate(backtest(model, part.symbol, sequence, from_ms, deployment), 1):
        scores = prediction.scores
        if made % _TOLD_EVERY == 0:
            progress(_TOLD_EVERY)
    progress(len(part.candles) % _TOLD_EVERY)
    return scores
