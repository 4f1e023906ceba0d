"""Candles to measure with: synthetic, the same in every run, or recorded."""

import json
from collections.abc import Iterator
from functools import cache
from math import inf
from pathlib import Path
from typing import Final

import numpy as np

from shared.adapters.candle_files import find_recordings, read_blocks
from shared.core.arrays import Float64s, read_only64
from shared.core.market import PPB, define_baskets
from shared.core.records import Candle, MarketMove
from shared.core.sequence import (
    BASKET_CHANGES,
    BASKETS,
    CLOSE,
    MARKET_CHANGE,
    MAX_BASKETS,
    OPEN_TIME,
    QUOTE_VOLUME,
    SEQUENCE_COLUMNS,
    baskets_code,
    with_unknown_columns,
)

STEP_MS: Final = 300_000
START_MS: Final = 1_735_689_600_000  # 2025-01-01 00:00 UTC
DEFINITION: Final = define_baskets(([f"BASKET{at}USDT"] for at in range(MAX_BASKETS)), 0, 0)
SYMBOLS: Final = 40  # that the market's moves are medians of

# The market's and each basket's, in turn.
_MOVES_PPB: Final = np.random.default_rng(0).integers(-(10**6), 10**6, (512, 1 + MAX_BASKETS))


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
    volumes, moves = np.full(candles, 12.5), _MOVES_PPB[np.arange(candles) % len(_MOVES_PPB)] / PPB
    sequence = np.empty((candles, SEQUENCE_COLUMNS))
    sequence[:, :QUOTE_VOLUME] = np.column_stack([times, opens, top, bottom, closes, volumes])
    sequence[:, QUOTE_VOLUME:MARKET_CHANGE] = (1250.0, 101.0, 6.25)
    sequence[:, MARKET_CHANGE:BASKETS] = np.column_stack([moves[:, 0], np.full(candles, SYMBOLS)])
    sequence[:, BASKETS], sequence[:, BASKET_CHANGES] = (
        baskets_code(DEFINITION.version),
        moves[:, 1:],
    )
    return read_only64(sequence)


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
    time_ms = int(sequence[-1, OPEN_TIME]) + STEP_MS
    return Candle(
        symbol, time_ms, last, top, bottom, close, 12.5, 1250.0, 101, 6.25, market_move(at)
    )


@cache
def market_move(at: int) -> MarketMove:
    """Return the market's move during candle number `at`."""
    change, *baskets = (_MOVES_PPB[at % len(_MOVES_PPB)] / PPB).tolist()
    return MarketMove(change, SYMBOLS, DEFINITION.version, tuple(baskets))


def candle_bytes(symbol: str, at: int, close: float) -> bytes:
    """Return the record of a symbol's candle number `at`, in canonical form."""
    return (
        f'{{"close":"{close:.6f}","high":"{close * 1.001:.6f}","interval":"5m",'
        f'"low":"{close * 0.999:.6f}","market":{_market_json(at)},"open":"{close:.6f}",'
        f'"open_time_ms":{START_MS + at * STEP_MS},"quote_volume":"1250.0","schema":1,'
        f'"symbol":"{symbol}","taker_buy_quote_volume":"625.0","taker_buy_volume":"6.25",'
        f'"trades":101,"type":"candle","volume":"12.5"}}'
    ).encode()


@cache
def _market_json(at: int) -> str:
    change, *baskets = _MOVES_PPB[at % len(_MOVES_PPB)].tolist()
    fields = {
        "basket_changes_ppb": baskets,
        "baskets": DEFINITION.version,
        "change_ppb": change,
        "symbols": SYMBOLS,
    }
    return json.dumps(fields, separators=(",", ":"))


def symbol_names(symbols: int) -> list[str]:
    """Return the names of synthetic symbols."""
    return [f"SYN{at:04d}USDT" for at in range(symbols)]


def candles_by_time(symbols: int, start: int, stop: int) -> Iterator[tuple[int, str, bytes]]:
    """Yield (number, symbol, record) of candles `start` up to `stop`, ordered by time."""
    names = symbol_names(symbols)
    walks = [walk(stop, seed).tolist() for seed in range(symbols)]
    for at in range(start, stop):
        for name, closes in zip(names, walks, strict=True):
            yield at, name, candle_bytes(name, at, closes[at])
