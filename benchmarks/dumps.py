"""Recorded candles as the exchange's dumps: many ZIPs, each of a symbol and of some days."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.market import STEP_MS
from shared.core.arrays import Float64s
from shared.core.sequence import OPEN_TIME, TRADES, VOLUME
from shared.core.timestamps import format_timestamp

DAY_MS: Final = 86_400_000


def write_dumps(
    candles: Mapping[str, Float64s], folder: Path, days: int, times: int
) -> tuple[Path, Path]:
    """Write candles as dumps; return the folder of all days but the last, and that of the last.

    Args:
        candles: sequences by symbol.
        folder: where to.
        days: of a file.
        times: how often the whole span is written, each time after the one before: the same prices
            later, where more history is wanted than was recorded.
    """
    history, last_day = folder / "history", folder / "last-day"
    for each in (history, last_day):
        each.mkdir(parents=True, exist_ok=True)
    span_ms = _span_ms(candles)
    for symbol, own in candles.items():
        later = [_moved(own, number * span_ms) for number in range(times)]
        rows = np.concatenate(later)
        is_last = rows[:, OPEN_TIME] >= rows[-1, OPEN_TIME] + STEP_MS - DAY_MS
        _write_files(symbol, rows[~is_last], history, days * DAY_MS)
        _write_files(symbol, rows[is_last], last_day, DAY_MS)
    return history, last_day


def _span_ms(candles: Mapping[str, Float64s]) -> int:
    first = min(own[0, OPEN_TIME] for own in candles.values())
    last = max(own[-1, OPEN_TIME] for own in candles.values())
    return int(-(-(last + STEP_MS - first) // DAY_MS)) * DAY_MS


def _moved(own: Float64s, by_ms: int) -> Float64s:
    rows = own.copy()
    rows[:, OPEN_TIME] += by_ms
    return rows


def _write_files(symbol: str, rows: Float64s, folder: Path, file_ms: int) -> None:
    numbers = rows[:, OPEN_TIME] // file_ms
    for number in np.unique(numbers):
        part = rows[numbers == number]
        stem = f"{symbol}-5m-{format_timestamp(int(part[0, OPEN_TIME]))[:10]}"
        with zipfile.ZipFile(
            folder / f"{stem}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
        ) as file:
            file.writestr(f"{stem}.csv", "".join(map(_line, part.tolist())))


def _line(row: list[float]) -> str:
    """Return a dump's line; missing columns get multiples of the volume, as filling."""
    opens, volume = int(row[OPEN_TIME]), row[VOLUME]
    prices = ",".join(f"{value:.8f}" for value in row[OPEN_TIME + 1 : VOLUME + 1])
    quote = volume * row[VOLUME - 1]
    trades = int(row[TRADES]) if row[TRADES] == row[TRADES] else int(volume) % 10_000
    rest = f"{quote:.8f},{trades},{volume / 2:.8f},{quote / 2:.8f},0"
    return f"{opens},{prices},{opens + STEP_MS - 1},{rest}\n"
