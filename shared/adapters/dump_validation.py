"""Validate recorded candles, a block of rows at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.core.errors import BadInput

NUMBERS: Final = ("open", "high", "low", "close", "volume")
# As milliseconds it would be the year 5138; dumps have microseconds since 2025.
MICROSECONDS_FROM: Final = 10**14
LARGEST_PRICE: Final = 1e15  # that readers of the log accept
TIMES: Final = (10**11, 10**17)  # 1973 in ms, 5138 in µs


@dataclass(frozen=True, slots=True, eq=False)
class RowPosition:
    """The rows of a block in their file, as an error names them."""

    path: Path
    interval_ms: int
    symbol: str
    unit: str  # "line" (from 1, as editors count) or "row" (from 0, as parquet readers do)
    numbers: NDArray[np.int64]  # (n,)

    def check(self, wrong: NDArray[np.bool_], reason: str, describe: Callable[[int], str]) -> None:
        """Raise BadInput for the first row that is wrong, if any is."""
        if wrong.any():
            at = int(np.argmax(wrong))
            place = f"{self.path} {self.unit} {self.numbers[at]} ({self.symbol})"
            raise BadInput(reason, f"{place}: {describe(at)}")


def check_rows(
    position: RowPosition,
    times: NDArray[np.int64],
    close_times: NDArray[np.int64] | None,
    numbers: NDArray[np.float64],
    last_ms: int,
    scale: int = 1,
) -> NDArray[np.bool_]:
    """Check the rows of a block; return which of them open on the interval's grid (n,).

    Args:
        position: where the rows are.
        times: open times (n,).
        close_times: (n,), or None if the file has none.
        numbers: (n, 5): open, high, low, close, volume.
        last_ms: the open time before the block.
        scale: of the times: so many units are a millisecond.

    Raises:
        BadInput: a row is invalid; the message names the first.
    """
    _check_unit(position, times, scale)
    on_grid = np.asarray(times % (position.interval_ms * scale) == 0)
    _check_open_times(position, times, on_grid, scale, last_ms)
    if close_times is not None:
        _check_close_times(position, times // scale, close_times // scale)
    _check_numbers(position, numbers)
    return on_grid


def find_scale(first_time: int) -> int:
    """Return how many units of a file's first time are a millisecond: dumps have µs since 2025."""
    return 1000 if first_time >= MICROSECONDS_FROM else 1


def _check_unit(position: RowPosition, times: NDArray[np.int64], scale: int) -> None:
    """Check that all times have the unit of the file's first: `scale` units are a millisecond."""
    low, high = (TIMES[0], MICROSECONDS_FROM) if scale == 1 else (MICROSECONDS_FROM, TIMES[1])
    unit = "ms" if scale == 1 else "µs"

    def describe(at: int) -> str:
        return (
            f"open time {times[at]} is outside {low} to {high} {unit}, the unit of this file:"
            " one file, one unit"
        )

    position.check((times < low) | (times >= high), "bad_time_unit", describe)


def _check_open_times(
    position: RowPosition,
    times: NDArray[np.int64],
    on_grid: NDArray[np.bool_],
    scale: int,
    last_ms: int,
) -> None:
    """Check that open times ascend from `last_ms` on, and by the interval.

    After some outages the exchange's candles open off the grid for hours, an interval apart. Where
    most of such rows lie closer together, the file has another interval than its name.
    """
    step = position.interval_ms
    previous = np.concatenate(([last_ms * scale], times[:-1]))
    is_close = ~on_grid & (times - previous < step * scale)

    def describe_unsorted(at: int) -> str:
        return (
            f"open time {times[at]} does not come after {previous[at]}:"
            " sort the file, each time once"
        )

    def describe_close(at: int) -> str:
        return (
            f"open time {times[at]} comes less than the interval {step} ms after {previous[at]}:"
            " check the name's interval"
        )

    position.check(times <= previous, "out_of_order", describe_unsorted)
    if 2 * is_close.sum() > (~on_grid).sum():
        position.check(is_close, "wrong_interval", describe_close)


def _check_close_times(
    position: RowPosition, open_ms: NDArray[np.int64], close_ms: NDArray[np.int64]
) -> None:
    """Check that no candle is longer than the interval; after an outage it may be shorter."""
    step = position.interval_ms

    def describe(at: int) -> str:
        return (
            f"close time {close_ms[at]} ms is not within {step} ms of open time {open_ms[at]} ms:"
            " check the name's interval"
        )

    position.check((close_ms < open_ms) | (close_ms >= open_ms + step), "wrong_interval", describe)


def _check_numbers(position: RowPosition, numbers: NDArray[np.float64]) -> None:
    """Check that numbers are finite, prices positive, and high and low enclose the others."""
    opened, high, low, close, volume = numbers.T

    def values(at: int) -> str:
        pairs = zip(NUMBERS, numbers[at].tolist(), strict=True)
        return ", ".join(f"{name} {value}" for name, value in pairs)

    position.check(
        np.asarray(~np.isfinite(numbers).all(axis=1)),
        "not_finite",
        lambda at: f"{values(at)}: every number must be finite",
    )
    position.check(
        np.asarray((numbers[:, :4] <= 0).any(axis=1)),
        "bad_price",
        lambda at: f"{values(at)}: a price must be above 0",
    )
    position.check(
        np.asarray((numbers[:, :4] > LARGEST_PRICE).any(axis=1)),
        "bad_price",
        lambda at: f"{values(at)}: a price must be at most {LARGEST_PRICE:g}",
    )
    position.check(
        np.signbit(volume),  # of -0.0 too, which readers of the log refuse
        "negative_volume",
        lambda at: f"{values(at)}: a volume must be at least 0",
    )
    position.check(
        (high < np.maximum(opened, close)) | (low > np.minimum(opened, close)),
        "inconsistent_prices",
        lambda at: f"{values(at)}: high and low must enclose open and close",
    )
