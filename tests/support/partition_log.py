"""Small logs of one partition, and the predictions that they give."""

from collections.abc import Sequence

from services.predictor.recovery.prediction_tail import PublishedTail
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.klines import KlineCodec, PromotionMessage, encode_record
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.online.context import FoldContext
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.core.online.state_codec import state_digest
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
