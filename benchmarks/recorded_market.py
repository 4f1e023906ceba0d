"""Recorded candles of folders, whole klines where the recordings have them."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np

from shared.adapters.candle_files import find_recordings, read_blocks
from shared.adapters.recording import Block
from shared.core.arrays import Float64s, read_only64
from shared.core.errors import BadSetting
from shared.core.sequence import (
    CLOSE,
    MARKET_CHANGE,
    OPEN_TIME,
    QUOTE_VOLUME,
    SEQUENCE_COLUMNS,
    VOLUME,
)

Sequences: TypeAlias = Mapping[str, Float64s]
"""Candles (n, columns) by symbol, oldest first."""


def read_folders(folders: Collection[Path], step_ms: int) -> dict[str, Float64s]:
    """Read the candles of an interval from folders and those below them, by symbol.

    A candle that several files have is taken from the first one, by file name. The market's moves
    are unknown.

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


def most_traded(sequences: Sequences, count: int) -> list[str]:
    """Return the symbols with the largest turnover, the largest first; 0: all of them."""
    order = sorted(sequences, key=lambda symbol: (-_turnover(sequences[symbol]), symbol))
    return order[: count or None]


def _rows(block: Block) -> Float64s:
    rows = np.full((len(block.open_time_ms), SEQUENCE_COLUMNS), np.nan)
    rows[:, OPEN_TIME], rows[:, OPEN_TIME + 1 : QUOTE_VOLUME] = block.open_time_ms, block.numbers
    if block.optional is not None:
        rows[:, QUOTE_VOLUME:MARKET_CHANGE] = block.optional[:, :3]
    elif block.lines is not None:
        # A dump's columns 7 to 9: quote volume, trades, taker-buy volume.
        rows[:, QUOTE_VOLUME:MARKET_CHANGE] = [line.split(",")[7:10] for line in block.lines]
    return rows


def _in_order(rows: Float64s) -> Float64s:
    _, firsts = np.unique(rows[:, OPEN_TIME], return_index=True)
    return read_only64(rows[firsts])


def _turnover(sequence: Float64s) -> float:
    """Sum the quote volume; where it is unknown, volume times close."""
    quote, estimate = sequence[:, QUOTE_VOLUME], sequence[:, VOLUME] * sequence[:, CLOSE]
    return float(np.where(np.isfinite(quote), quote, estimate).sum())
