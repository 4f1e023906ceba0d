"""Small logs of one partition, and the predictions that they give."""

from collections.abc import Sequence

from services.predictor.recovery.prediction_tail import PublishedTail
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.kline_messages import PromotionMessage
from shared.adapters.schemas.klines import KlineCodec, encode_record, encode_status
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.online.context import FoldContext
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.core.online.state_digest import state_digest
from shared.core.records import SymbolStatus
from shared.log.record_processor import BatchResult, RecordProcessor
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_model, a_walk, candle_bytes
from tests.support.fakes import FakeTopicHistory

MODELS = {model.version: model for model in (a_model(1), a_model(2))}


FIRST, SECOND = MODELS.values()


PROFILE = CONTEXT.numeric_profile


def processor_for(profile: str) -> RecordProcessor:
    context = FoldContext("5m", STEP_MS, profile)
    return RecordProcessor(
        "klines.5m", KlineCodec("5m", STEP_MS, 1), context, lambda version, _: MODELS[version]
    )


PROCESSOR = processor_for(PROFILE)


def promotion_bytes(model: Model, profile: str = PROFILE) -> bytes:
    message = PromotionMessage(
        type="promotion",
        model_version=model.version,
        bundle_sha256=model.bundle.sha256,
        numeric_profile=profile,
    )
    return encode_record(message)


def log_of(values: Sequence[tuple[int, bytes]]) -> list[ConsumerRecord]:
    """Records by (candle number, bytes)."""
    return [
        ConsumerRecord(0, offset, START_MS + (at + 1) * STEP_MS - 1, None, value)
        for offset, (at, value) in enumerate(values)
    ]


def candles_of(symbol: str, start: int, stop: int, seed: int) -> list[tuple[int, bytes]]:
    closes = a_walk(stop, seed)
    return [(at, candle_bytes(at, symbol, f"{closes[at]:.6f}")) for at in range(start, stop)]


def two_symbols(start: int, stop: int) -> list[tuple[int, bytes]]:
    pairs = zip(
        candles_of("AAAUSDT", start, stop, 1), candles_of("BBBUSDT", start, stop, 2), strict=True
    )
    return [record for pair in pairs for record in pair]


SHORT = log_of(
    [
        *two_symbols(0, 20),
        (19, promotion_bytes(FIRST)),
        *two_symbols(20, 40),
        (39, promotion_bytes(SECOND)),
        *two_symbols(40, 60),
    ]
)


def ends(symbol: str, at: int) -> tuple[int, bytes]:
    """The record of a symbol that has no candles from this one on."""
    status = SymbolStatus(symbol, START_MS + at * STEP_MS, "delisted", "listed no more")
    return at, encode_status(status, "5m")


def lists(symbol: str, at: int) -> tuple[int, bytes]:
    """The record of a symbol whose first candle is this one."""
    status = SymbolStatus(symbol, START_MS + at * STEP_MS, "listed", "TRADING")
    return at, encode_status(status, "5m")


def filled(symbol: str, at: int) -> tuple[int, bytes]:
    return at, candle_bytes(at, symbol, "101.5", type="fill")


# The second symbol lacks two candles, which come later, and it ends and begins anew.
EVENTFUL = log_of(
    [
        *two_symbols(0, 20),
        (19, promotion_bytes(FIRST)),
        *candles_of("BBBUSDT", 22, 30, 2),
        *candles_of("AAAUSDT", 20, 32, 1),
        filled("BBBUSDT", 21),
        *candles_of("BBBUSDT", 30, 32, 2),
        filled("BBBUSDT", 20),
        (31, candle_bytes(31, "AAAUSDT", "99.5", type="amendment")),
        *candles_of("AAAUSDT", 32, 50, 1),
        ends("BBBUSDT", 32),
        *candles_of("BBBUSDT", 31, 32, 2),
        *candles_of("BBBUSDT", 40, 60, 2),
        (50, promotion_bytes(SECOND)),
        *candles_of("BBBUSDT", 60, 62, 2),
        *candles_of("AAAUSDT", 50, 55, 1),
    ]
)


SWITCHED = log_of(
    [
        *two_symbols(0, 20),
        (19, promotion_bytes(FIRST)),
        *two_symbols(20, 30),
        (29, promotion_bytes(FIRST, "2-other")),
        *two_symbols(30, 40),
        (39, promotion_bytes(SECOND, PROFILE)),
        *two_symbols(40, 50),
    ]
)


PROFILES = (PROFILE, "2-other")


def process_all(
    records: Sequence[ConsumerRecord],
    state: PartitionState | None = None,
    processor: RecordProcessor = PROCESSOR,
) -> BatchResult:
    result = BatchResult(state or PartitionState())
    for record in records:
        processor.process(result, record)
    return result


def published_by(predictions: Sequence[Prediction]) -> PublishedTail:
    return PublishedTail({p.symbol: p for p in predictions})


def topic_of(predictions: Sequence[Prediction]) -> FakeTopicHistory:
    return FakeTopicHistory(
        [
            ConsumerRecord(0, i, 0, p.symbol.encode(), encode_prediction(p))
            for i, p in enumerate(predictions)
        ]
    )


def digests(state: PartitionState) -> dict[str, str]:
    return {symbol: state_digest(state) for symbol, state in state.symbols.items()}
