"""Recorded candles of a folder, each with the market's move in its interval."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.adapters.candle_files import find_recordings, read_blocks
from shared.adapters.recording import Block
from shared.core.arrays import Float64s
from shared.core.errors import BadSetting
from shared.core.market import BasketDefinition, market_moves
from shared.core.sequence import (
    BASKET_CHANGES,
    BASKETS,
    CLOSE,
    MARKET_CHANGE,
    MARKET_SYMBOLS,
    OPEN_TIME,
    QUOTE_VOLUME,
    VOLUME,
    baskets_code,
    with_unknown_columns,
)

Sequences = Mapping[str, Float64s]
"""Candles (n, columns) by symbol, oldest first."""


def read_folders(folders: Collection[Path], step_ms: int) -> dict[str, Float64s]:
    """Read the candles of an interval from folders and those below them, by symbol.

    A candle that several files have is taken from the first one, by file name.

    Raises:
        BadInput: a file is invalid; the message names it.
        BadSetting: there are no candles of the interval.
    """
    found: dict[str, list[Float64s]] = {}
    for recording in find_recordings(folders):
        if recording.interval_ms == step_ms:
            for block in read_blocks(recording):
                found.setdefault(block.symbol, []).append(_rows(block))
    if not found:
        names = ", ".join(map(str, folders))
        raise BadSetting(f"{names}: no recorded candles of {step_ms // 60_000} minutes")
    return {symbol: _in_order(np.concatenate(found.pop(symbol))) for symbol in sorted(found)}


def _rows(block: Block) -> Float64s:
    return np.column_stack([block.open_time_ms.astype(np.float64), block.numbers])


def _in_order(rows: Float64s) -> Float64s:
    _, firsts = np.unique(rows[:, OPEN_TIME], return_index=True)
    return with_unknown_columns(rows[firsts])


def most_traded(sequences: Sequences, count: int) -> list[str]:
    """Return the symbols with the largest turnover, the largest first; 0: all of them."""
    order = sorted(sequences, key=lambda symbol: (-_turnover(sequences[symbol]), symbol))
    return order[: count or None]


def _turnover(sequence: Float64s) -> float:
    """Sum the quote volume; where it is unknown, volume times close."""
    quote, estimate = sequence[:, QUOTE_VOLUME], sequence[:, VOLUME] * sequence[:, CLOSE]
    return float(np.where(np.isfinite(quote), quote, estimate).sum())


@dataclass(frozen=True, slots=True)
class Market:
    """What the market's move is measured over."""

    symbols: Collection[str]
    baskets: BasketDefinition | None


def with_market(sequences: Sequences, market: Market, step_ms: int) -> dict[str, Float64s]:
    """Return the sequences with the market's move in each candle's interval.

    Args:
        sequences: of all symbols.
        market: what to measure it over.
        step_ms: the interval.
    """
    first_ms = min(one[0, OPEN_TIME] for one in sequences.values())
    rows = {s: _grid_rows(one, first_ms, step_ms) for s, one in sequences.items()}
    closes = np.full((1 + max(one[-1] for one in rows.values()), len(sequences)), np.nan)
    for column, (symbol, sequence) in enumerate(sequences.items()):
        closes[rows[symbol], column] = sequence[:, CLOSE]
    moves = market_moves(closes, list(sequences), market.symbols, market.baskets)
    entries = np.full((len(closes), BASKET_CHANGES.stop - MARKET_CHANGE), np.nan)
    entries[1:, 0], entries[1:, MARKET_SYMBOLS - MARKET_CHANGE] = moves.changes, moves.symbols
    version = None if market.baskets is None else market.baskets.version
    entries[:, BASKETS - MARKET_CHANGE] = baskets_code(version)
    first = BASKET_CHANGES.start - MARKET_CHANGE
    entries[1:, first : first + moves.basket_changes.shape[1]] = moves.basket_changes
    return {symbol: _filled(one, entries[rows[symbol]]) for symbol, one in sequences.items()}


def _grid_rows(sequence: Float64s, first_ms: float, step_ms: int) -> Float64s:
    return ((sequence[:, OPEN_TIME] - first_ms) // step_ms).astype(np.int64)


def _filled(sequence: Float64s, entries: Float64s) -> Float64s:
    filled = sequence.copy()
    filled[:, MARKET_CHANGE : BASKET_CHANGES.stop] = entries
    return filled
