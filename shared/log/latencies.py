"""How long a candle takes: from its close to its arrival, and from there to its prediction."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from typing import Final

from shared.core.online.prediction import Prediction
from shared.core.records import Candle
from shared.log.arrival_headers import arrival_ms, is_streamed

KEPT: Final = 100_000  # latencies, and candles without a prediction: the newest


class Latencies:
    """Latencies of the stream's candles in milliseconds, by this machine's clock."""

    def __init__(self, interval_ms: int, kept: int = KEPT) -> None:
        """Begin with none.

        Args:
            interval_ms: between two open times.
            kept: how many latencies, and how many candles without a prediction, are kept.
        """
        self._interval_ms, self._kept = interval_ms, kept
        # When candles of the stream arrived, by symbol and open time of the predicted candle.
        self._arrival_ms: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._to_arrival_ms: deque[float] = deque(maxlen=kept)
        self._to_readable_ms: deque[float] = deque(maxlen=kept)

    def add_candle(self, candle: Candle, headers: Mapping[str, bytes]) -> bool:
        """Note when a candle arrived; return whether it came by stream."""
        if not is_streamed(headers):
            return False
        arrived_ms, end_ms = arrival_ms(headers), candle.open_time_ms + self._interval_ms
        if arrived_ms is not None:
            self._arrival_ms[candle.symbol, end_ms] = arrived_ms
            if len(self._arrival_ms) > self._kept:  # nobody predicts: the oldest goes
                self._arrival_ms.popitem(last=False)
            # The clock of a simulated exchange is another one: then there is nothing to say.
            if abs(arrived_ms - end_ms) < self._interval_ms:
                self._to_arrival_ms.append(max(0, arrived_ms - end_ms))
        return True

    def add_prediction(self, prediction: Prediction, now_ms: float) -> None:
        """Note that the prediction of a candle that arrived can be read now."""
        arrived_ms = self._arrival_ms.pop((prediction.symbol, prediction.open_time_ms), None)
        if arrived_ms is not None:
            self._to_readable_ms.append(now_ms - arrived_ms)

    def to_arrival_ms(self, share: float) -> float | None:
        """Return the time from close to arrival that this share stayed below; None without any."""
        return _quantile(self._to_arrival_ms, share)

    def to_readable_ms(self, share: float) -> float | None:
        """Return the time from arrival to the readable prediction; None without any."""
        return _quantile(self._to_readable_ms, share)

    def describe(self) -> str:
        """Return both latencies in one line."""
        parts = {
            "close to arrival": self.to_arrival_ms,
            "arrival to readable prediction": self.to_readable_ms,
        }
        return ", ".join(
            f"{name} p50 {format_ms(read(0.5))} p99 {format_ms(read(0.99))}"
            for name, read in parts.items()
        )


def format_ms(value: float | None) -> str:
    """Return whole milliseconds, or a dash for none."""
    return "-" if value is None else f"{value:.0f} ms"


def _quantile(values: Iterable[float], share: float) -> float | None:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
