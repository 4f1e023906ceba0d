"""What every recorded candle must be, checked a block of rows at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.core.errors import BadInput

NUMBERS: Final = ("open", "high", "low", "close", "volume")
MICROSECONDS_FROM: Final = (
    10**14
)  # as milliseconds it would be the year 5138; dumps count in µs since 2025
TIMES: Final = (10**11, 10**17)  # 1973 in ms, 5138 in µs


@dataclass(frozen=True, slots=True, eq=False)
class RowPosition:
    """Where in a file the rows of a block stand: what an error names."""

    path: Path
    interval_ms: int
    symbol: str
    unit: str  # "line" (from 1, as editors count) or "row" (from 0, as parquet readers do)
    numbers: NDArray[np.int64]  # (n,)

    def refuse(self, wrong: NDArray[np.bool_], reason: str, text: Callable[[int], str]) -> None:
        """Raise BadInput for the first row that is wrong, if any is."""
        if wrong.any():
            at = int(np.argmax(wrong))
            raise BadInput(
                reason, f"{self.path} {self.unit} {self.numbers[at]} ({self.symbol}): {text(at)}"
            )


def check_times(place: RowPosition, times: NDArray[np.int64], scale: int, last_ms: int) -> None:
    step = place.interval_ms
    previous = np.concatenate(([last_ms * scale], times[:-1]))

    def off_grid(at: int) -> str:
        return f"open time {times[at]} is not a multiple of the interval {step} ms: check the name's interval"

    def unsorted(at: int) -> str:
        return f"open time {times[at]} does not come after {previous[at]}: sort the file, each time once"

    place.refuse(times % (step * scale) != 0, "off_grid", off_grid)
    place.refuse(times <= previous, "out_of_order", unsorted)


def check_close(
    place: RowPosition, open_ms: NDArray[np.int64], close_ms: NDArray[np.int64]
) -> None:
    """Check that the candles are no longer than the interval; after an outage the exchange has shorter ones."""
    step = place.interval_ms

    def text(at: int) -> str:
        return (
            f"close time {close_ms[at]} ms is not within {step} ms of open time {open_ms[at]} ms: "
            "check the name's interval"
        )

    place.refuse((close_ms < open_ms) | (close_ms >= open_ms + step), "wrong_interval", text)


def check_numbers(place: RowPosition, numbers: NDArray[np.float64]) -> None:
    opened, high, low, close, volume = numbers.T

    def values(at: int) -> str:
        return ", ".join(
            f"{name} {value}" for name, value in zip(NUMBERS, numbers[at].tolist(), strict=True)
        )

    place.refuse(
        np.asarray(~np.isfinite(numbers).all(axis=1)),
        "not_finite",
        lambda at: f"{values(at)}: every number must be finite",
    )
    place.refuse(
        np.asarray((numbers[:, :4] <= 0).any(axis=1)),
        "bad_price",
        lambda at: f"{values(at)}: a price must be above 0",
    )
    place.refuse(
        volume < 0, "negative_volume", lambda at: f"{values(at)}: a volume must be at least 0"
    )
    place.refuse(
        (high < np.maximum(opened, close)) | (low > np.minimum(opened, close)),
        "inconsistent_prices",
        lambda at: f"{values(at)}: high and low must enclose open and close",
    )


def check_unit(place: RowPosition, times: NDArray[np.int64], scale: int) -> None:
    low, high = (TIMES[0], MICROSECONDS_FROM) if scale == 1 else (MICROSECONDS_FROM, TIMES[1])
    unit = "ms" if scale == 1 else "µs"

    def text(at: int) -> str:
        return f"open time {times[at]} is outside {low} to {high} {unit}, the unit of this file: one file, one unit"

    place.refuse((times < low) | (times >= high), "bad_time_unit", text)
