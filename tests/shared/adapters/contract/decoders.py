"""The decoder of each record kind, for tests that hold it against the schema."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.adapters.contract.record_kinds import KINDS
from shared.adapters.schemas.baskets import decode_baskets
from shared.adapters.schemas.cards import CardMessage
from shared.adapters.schemas.control import decode_control
from shared.adapters.schemas.klines import KlineCodec
from shared.adapters.schemas.predictions import decode_prediction
from shared.adapters.schemas.withdrawals import decode_withdrawal
from shared.core.errors import BadInput
from shared.core.topics import partition_for

CODEC: Final = KlineCodec("5m", 300_000, 6)
PARTITION: Final = partition_for("BTCUSDT", 6)
# Rules between fields, or between a field and the topic: no schema can say them.
BEYOND_SCHEMAS: Final = frozenset(
    (
        *("off_grid", "inconsistent_prices", "bad_size"),
        *("wrong_interval", "wrong_group", "wrong_version"),
    )
)


def decode_kline(value: bytes) -> object:
    return CODEC.decode(value, PARTITION)


DECODERS: Final[Mapping[str, Callable[[bytes], object]]] = {
    **{name: decode_kline for name, kind in KINDS.items() if kind.channel == "klines"},
    "prediction": decode_prediction,
    "bundle-card": CardMessage.model_validate_json,
    "baskets": decode_baskets,
    "withdrawal": decode_withdrawal,
    "symbol-control": lambda value: decode_control(value, "5m"),
    "ban": lambda value: decode_control(value, "5m"),
}


def is_readable(decode: Callable[[bytes], object], value: bytes) -> bool:
    """Whether a decoder takes a value, or refuses it for what no schema can say."""
    try:
        decode(value)
    except BadInput as error:
        return error.reason in BEYOND_SCHEMAS
    except ValueError:
        return False
    return True


def example(name: str) -> dict[str, Any]:
    return dict(KINDS[name].example)
