"""Candles and a model to measure with: synthetic, the same in every run, or recorded."""

from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Final

import numpy as np

from shared.adapters.bundle_codec import decode_bundle, encode_bundle, version_of
from shared.adapters.candle_files import find_recordings, read_blocks
from shared.core.arrays import Float64s
from shared.core.model.architecture import Architecture
from shared.core.model.card import Bundle, Card
from shared.core.model.optimiser import Optimiser
from shared.core.records import Candle
from shared.core.sequence import CLOSE, OPEN_TIME, with_unknown_columns

STEP_MS: Final = 300_000
START_MS: Final = 1_735_689_600_000  # 2025-01-01 00:00 UTC


def bundle_bytes(architecture: Architecture, features: str = "levels") -> tuple[str, bytes]:
    """Return a model's version and bytes; its card has no scalers, so each symbol fits its own."""
    trained_through_ms = START_MS - STEP_MS
    from_ms, optimiser = START_MS - 1000 * STEP_MS, Optimiser(rate=1e-5)
    card = Card(architecture, features, 1e-3, optimiser, {}, from_ms, trained_through_ms)
    weights = np.random.default_rng(1).uniform(-0.2, 0.2, architecture.weight_count())
    data = encode_bundle(card, weights.astype(np.float32))
    return version_of(card, data), data


def a_bundle(architecture: Architecture, features: str = "levels") -> Bundle:
    """Return the model of those bytes."""
    return decode_bundle(*bundle_bytes(architecture, features))


def walk(candles: int, seed: int) -> Float64s:
    """Return the closes of a random walk: (candles,)."""
    changes = np.random.default_rng(seed).normal(scale=0.002, size=candles)
    return np.asarray(100.0 * np.cumprod(1.0 + changes), dtype=np.float64)


def a_sequence(candles: int, seed: int) -> Float64s:
    """Return a symbol's candles (n, columns), oldest first."""
    closes = walk(candles, seed)
    opens = np.concatenate([[100.0], closes[:-1]])
    times = START_MS + STEP_MS * np.arange(candles, dtype=np.float64)
    top, bottom = np.maximum(opens, closes) * 1.001, np.minimum(opens, closes) * 0.999
    volumes = np.full(candles, 12.5)
    return with_unknown_columns(np.column_stack([times, opens, top, bottom, closes, volumes]))


def recorded_sequences(folder: Path, most: float = inf) -> dict[str, Float64s]:
    """Read recorded candles (n, columns) by symbol.

    Args:
        folder: where the recordings are.
        most: stop after the recording that reaches this number of candles.
    """
    found: dict[str, list[Float64s]] = {}
    count = 0
    for recording in find_recordings([folder]):
        for block in read_blocks(recording):
            times = block.open_time_ms.astype(np.float64)
            found.setdefault(block.symbol, []).append(np.column_stack([times, block.numbers]))
            count += len(times)
        if count >= most:
            break
    return {
        symbol: with_unknown_columns(np.concatenate(blocks)) for symbol, blocks in found.items()
    }


def describe_source(recorded: Path | None) -> str:
    """Return where the candles come from, for a note."""
    return "recorded klines" if recorded else "synthetic candles: KLINES=FOLDER takes recorded ones"


def next_candle(symbol: str, sequence: Float64s, at: int) -> Candle:
    """Return a candle that follows a sequence."""
    last = float(sequence[-1, CLOSE])
    close = last * (1.001 if at % 2 else 0.999)
    top, bottom = max(last, close) * 1.001, min(last, close) * 0.999
    return Candle(symbol, int(sequence[-1, OPEN_TIME]) + STEP_MS, last, top, bottom, close, 12.5)


def candle_bytes(symbol: str, at: int, close: float) -> bytes:
    """Return the record of a symbol's candle number `at`, in canonical form."""
    return (
        f'{{"close":"{close:.6f}","high":"{close * 1.001:.6f}","interval":"5m",'
        f'"low":"{close * 0.999:.6f}","open":"{close:.6f}",'
        f'"open_time_ms":{START_MS + at * STEP_MS},"schema":1,"symbol":"{symbol}",'
        f'"type":"candle","volume":"12.5"}}'
    ).encode()


def candles_by_time(symbols: int, start: int, stop: int) -> Iterator[tuple[int, str, bytes]]:
    """Yield (number, symbol, record) of candles `start` up to `stop`, ordered by time."""
    names = [f"SYN{at:04d}USDT" for at in range(symbols)]
    walks = [walk(stop, seed).tolist() for seed in range(symbols)]
    for at in range(start, stop):
        for name, closes in zip(names, walks, strict=True):
            yield at, name, candle_bytes(name, at, closes[at])
