"""The topics of one symbol as lists, and pages read from them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from services.dashboard.history.paging import PageRequest
from services.dashboard.history.symbol_records import SymbolRecords
from services.dashboard.log_region import ReadingBudget
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.klines import KlineCodec
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.online.interval_scores import IntervalScores
from shared.core.online.intervals import Interval
from shared.core.online.prediction import Prediction
from shared.core.online.scores import Scores
from tests.support.builders import START_MS, STEP_MS
from tests.support.fakes import FakeTopicHistory

SYMBOL: Final = "BTCUSDT"
CODEC: Final = KlineCodec("5m", STEP_MS, 1)
NO_LIMIT: Final = ReadingBudget(1_000_000, 1.0, lambda: 0.0)


def a_prediction(at: int, change: float = 0.001, **fields: Any) -> Prediction:
    """The prediction of candle number `at`, with bounds of 0.5 and 1 % around a close of 100."""
    close = 100.0
    given: dict[str, Any] = {
        "symbol": SYMBOL,
        "interval": "5m",
        "open_time_ms": START_MS + at * STEP_MS,
        "close": close,
        "predicted_change": 2 * change,
        "predicted_close": close * (1 + 2 * change),
        "change_scale": 0.002,
        "calibration": 0.5,
        "calibrated_change": change,
        "calibrated_close": close * (1 + change),
        "actionable": False,
        "intervals": (
            Interval(50, -0.005, 0.005, close * 0.995, close * 1.005),
            Interval(90, -0.01, 0.01, close * 0.99, close * 1.01),
        ),
        "model_version": "m1",
        "steps": at,
        "loss": None,
        "was_reset": False,
        "previous": None,
        "scores": Scores(),
        "interval_scores": IntervalScores(),
        "source_offset": at,
        "promotion_offset": 0,
        "corrections": 0,
        "state_digest": "0" * 64,
        "numeric_profile": "4-test",
    }
    return Prediction(**given | fields)


class SymbolTopics:
    """`klines` and `predictions` of one partition, read by one symbol's log."""

    def __init__(
        self, klines: Sequence[bytes | None], predictions: Sequence[Prediction] = ()
    ) -> None:
        self.klines = _topic(klines)
        self.predictions = _topic([encode_prediction(one) for one in predictions])
        self.log = SymbolRecords(SYMBOL, CODEC, first_block=4)

    def page(
        self, candles: int = 20_000, before_ms: int | None = None, budget: ReadingBudget = NO_LIMIT
    ) -> dict[str, Any]:
        request = PageRequest(candles, before_ms)
        self.log.read_candles(self.klines, request, replace(budget))
        from_ms = self.log.range_of(request).span.from_ms
        self.log.read_predictions(self.predictions, from_ms, replace(budget))
        return self.log.to_page(request)


def _topic(values: Sequence[bytes | None]) -> FakeTopicHistory:
    key = SYMBOL.encode()
    return FakeTopicHistory([ConsumerRecord(0, at, 0, key, one) for at, one in enumerate(values)])
