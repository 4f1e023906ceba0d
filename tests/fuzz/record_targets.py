"""Decoders of records: everything that stands on a topic, and states of symbols."""

import json
from dataclasses import replace
from typing import Any, Final

from services.cli.audit.checks import _compare_bytes
from services.producer.finality.candle_memory import fingerprint
from shared.adapters.bundle_codec import decode_bundle, encode_bundle
from shared.adapters.contract import examples
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.baskets import card_baskets, decode_baskets
from shared.adapters.schemas.control import decode_control
from shared.adapters.schemas.dead_letters import dead_letter_offset, decode_dead_letter
from shared.adapters.schemas.forecasts import decode_forecast
from shared.adapters.schemas.klines import KlineCodec, to_fill
from shared.adapters.schemas.predictions import decode_prediction, encode_prediction
from shared.adapters.schemas.wire import canonical_json
from shared.adapters.schemas.withdrawals import decode_withdrawal
from shared.core.model.architecture import Architecture
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState, fold
from shared.core.online.start import build_start
from shared.core.online.state_codec import decode_state, encode_state
from shared.core.records import Candle
from shared.core.topics import partition_for
from shared.log.bundle_store import published_ms
from shared.log.latencies import Latencies
from tests.fuzz.target import BINARY, Target
from tests.support.builders import (
    CONTEXT,
    START_MS,
    STEP_MS,
    a_candle,
    a_model,
    a_partition_state,
    a_sequence,
)

_SCHEMAS: Final = "shared/adapters/schemas"
_CODEC: Final = KlineCodec("5m", STEP_MS, 6)
_GROUP: Final = partition_for("BTCUSDT", 6)
_STATE: Final = a_partition_state(40).symbols["BTCUSDT"]
_STATE_LINE, _STATE_ARRAYS = encode_state(_STATE).split(b"\n", 1)
_MODEL: Final = a_model()
_START: Final = build_start("BTCUSDT", a_sequence(1, 40), _MODEL, CONTEXT)
_START_LINE, _START_ARRAYS = encode_state(_START or _STATE).split(b"\n", 1)
_CARD: Final = canonical_json(examples.CARD)
_WEIGHTS: Final = bytes(4 * Architecture((8,), 16, 6).weight_count())


def _kline(data: bytes) -> None:
    record = _CODEC.decode(data, _GROUP)
    if isinstance(record, Candle):
        fingerprint(data)
        to_fill(data)
        fold(PartitionState(), record, 0, None, CONTEXT)


def _prediction(data: bytes) -> None:
    prediction = decode_prediction(data)
    tuple(_compare_bytes(data, encode_prediction(prediction)))


def _control(data: bytes) -> None:
    decode_control(data, "5m")


def _bundle(data: bytes) -> None:
    bundle = decode_bundle("v1", data)
    card_baskets(bundle.card)
    Model(bundle)


def _to_bundle(card: bytes) -> bytes:
    return b"ULSTM-BUNDLE-1\n%d\n%b%b" % (len(card), card, _WEIGHTS)


def _state(data: bytes) -> None:
    state = decode_state(data)
    encode_state(state)
    state.replace(jacobian=None)


def _start(data: bytes) -> None:
    """Decode a start as a bundle has it, and make a model of it."""
    card = replace(_MODEL.card, scalers={})
    Model(decode_bundle("v1", encode_bundle(card, _MODEL.bundle.weights, starts={"BTCUSDT": data})))


def _headers(data: bytes) -> None:
    """Take each line for a header's value, under every name that a reader asks for."""
    for line in data.split(b"\n", 9):
        names = (*examples.KLINE_HEADERS, *examples.DEAD_LETTER_HEADERS, "published_ms")
        headers = dict.fromkeys(names, line) | {"topic": b"klines.5m", "partition": b"1"}
        decode_dead_letter(headers, line, line)
        decode_dead_letter(headers | {"topic": line, "partition": line}, line, line)
        dead_letter_offset(headers, "klines.5m", 1)
        published_ms(ConsumerRecord(0, 0, 0, line, line, headers))
        latencies = Latencies(STEP_MS)
        latencies.add_candle(a_candle(), headers | {"source": b"stream"})


def _json(*values: dict[str, Any]) -> tuple[bytes, ...]:
    return tuple(canonical_json(value) for value in values)


_KLINES: Final = (examples.CANDLE, examples.GAP, examples.STATUS, examples.PROMOTION)
RECORD_TARGETS: Final = (
    Target(
        "klines",
        _kline,
        _json(*_KLINES),
        (
            f"{_SCHEMAS}/klines.py: KlineCodec._parse",
            f"{_SCHEMAS}/klines.py: to_fill",
            f"{_SCHEMAS}/market_messages.py: parse_market",
            "services/producer/finality/candle_memory.py: fingerprint",
        ),
    ),
    Target(
        "predictions",
        _prediction,
        _json(examples.PREDICTION),
        (
            f"{_SCHEMAS}/predictions.py: parse_prediction",
            "services/cli/audit/checks.py: _fields",
        ),
    ),
    Target(
        "forecasts",
        decode_forecast,
        _json(examples.PREDICTION),
        (f"{_SCHEMAS}/forecasts.py: decode_forecast",),
    ),
    Target(
        "control",
        _control,
        _json(examples.SYMBOL_CONTROL, examples.BAN),
        (f"{_SCHEMAS}/control.py: decode_control",),
    ),
    Target(
        "baskets",
        decode_baskets,
        _json(examples.BASKETS),
        (f"{_SCHEMAS}/baskets.py: decode_baskets",),
    ),
    Target(
        "withdrawals",
        decode_withdrawal,
        _json(examples.WITHDRAWAL),
        (f"{_SCHEMAS}/withdrawals.py: decode_withdrawal",),
    ),
    Target(
        "bundles",
        _bundle,
        (_CARD,),
        (
            "shared/adapters/bundle_codec.py: decode_bundle",
            "shared/adapters/bundle_codec.py: _Arrays.take",
        ),
        wrap=_to_bundle,
        max_mb=400,
    ),
    Target(
        "bundle-bytes",
        _bundle,
        (_to_bundle(_CARD),),
        (),
        kind=BINARY,
    ),
    Target(
        "states",
        _state,
        (_STATE_LINE,),
        (
            "shared/core/online/state_codec.py: _decode",
            "shared/core/online/state_codec.py: _take",
        ),
        wrap=lambda line: line + b"\n" + _STATE_ARRAYS,
    ),
    Target("state-bytes", _state, (encode_state(_STATE),), (), kind=BINARY),
    Target("starts", _start, (_START_LINE,), (), wrap=lambda line: line + b"\n" + _START_ARRAYS),
    Target(
        "headers",
        _headers,
        (b"1743466201342\n-1\nklines.5m", json.dumps(START_MS).encode()),
        (),
        kind=BINARY,
    ),
)
