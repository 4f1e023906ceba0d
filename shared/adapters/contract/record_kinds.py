"""The kinds of records on the topics: their schema, key and example."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel

from shared.adapters.contract import examples
from shared.adapters.schemas.baskets import BasketsMessage
from shared.adapters.schemas.cards import CardMessage
from shared.adapters.schemas.control import (
    BanMessage,
    CopyMessage,
    SkipMessage,
    SymbolControlMessage,
)
from shared.adapters.schemas.headers import (
    BundleHeaders,
    DeadLetterHeaders,
    KlineHeaders,
    PredictionHeaders,
)
from shared.adapters.schemas.kline_messages import (
    CandleMessage,
    GapMessage,
    PromotionMessage,
    StatusMessage,
)
from shared.adapters.schemas.prediction_messages import PredictionMessage
from shared.adapters.schemas.withdrawals import WithdrawalMessage
from shared.core.errors import Unknown

ChannelName = Literal["klines", "predictions", "models", "dead-letters", "control"]
Part = Literal["value", "headers", "first part of the value"]


@dataclass(frozen=True, slots=True)
class RecordKind:
    """What a record, or a part of it, looks like."""

    name: str
    channel: ChannelName
    model: type[BaseModel]
    example: Mapping[str, Any]
    key: str  # in words
    part: Part = "value"


_SYMBOL: Final = "the symbol"
KINDS: Final[Mapping[str, RecordKind]] = {
    kind.name: kind
    for kind in (
        RecordKind("candle", "klines", CandleMessage, examples.CANDLE, _SYMBOL),
        RecordKind("gap", "klines", GapMessage, examples.GAP, _SYMBOL),
        RecordKind("status", "klines", StatusMessage, examples.STATUS, _SYMBOL),
        RecordKind("promotion", "klines", PromotionMessage, examples.PROMOTION, "`promotion`"),
        RecordKind(
            "kline-headers", "klines", KlineHeaders, examples.KLINE_HEADERS, _SYMBOL, "headers"
        ),
        RecordKind("prediction", "predictions", PredictionMessage, examples.PREDICTION, _SYMBOL),
        RecordKind(
            "prediction-headers",
            "predictions",
            PredictionHeaders,
            examples.PREDICTION_HEADERS,
            _SYMBOL,
            "headers",
        ),
        RecordKind(
            "bundle-card",
            "models",
            CardMessage,
            examples.CARD,
            "the model version",
            "first part of the value",
        ),
        RecordKind(
            "bundle-headers",
            "models",
            BundleHeaders,
            examples.BUNDLE_HEADERS,
            "the model version",
            "headers",
        ),
        RecordKind(
            "baskets", "models", BasketsMessage, examples.BASKETS, "`baskets:` and the version"
        ),
        RecordKind(
            "withdrawal", "models", WithdrawalMessage, examples.WITHDRAWAL, "the model version"
        ),
        RecordKind(
            "dead-letter-headers",
            "dead-letters",
            DeadLetterHeaders,
            examples.DEAD_LETTER_HEADERS,
            "that of the rejected record",
            "headers",
        ),
        RecordKind(
            "symbol-control", "control", SymbolControlMessage, examples.SYMBOL_CONTROL, _SYMBOL
        ),
        RecordKind("ban", "control", BanMessage, examples.BAN, "`ban`"),
        RecordKind("skip", "control", SkipMessage, examples.SKIP, "`skip`"),
        RecordKind("copy", "control", CopyMessage, examples.COPY, "`copy`"),
    )
}


def find_kind(name: str) -> RecordKind:
    """Return the record kind of a name.

    Raises:
        Unknown: there is none.
    """
    if name not in KINDS:
        raise Unknown(f"there is no record kind {name!r}; choose one of {', '.join(KINDS)}")
    return KINDS[name]
