import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.schemas.kline_messages import (
    MAX_REASON_LENGTH,
    CandleMessage,
    CorrectionKind,
    PromotionMessage,
)
from shared.adapters.schemas.klines import (
    MAX_RECORD_BYTES,
    KlineCodec,
    add_market,
    encode_correction,
    encode_gap,
    encode_record,
    encode_status,
)
from shared.adapters.schemas.market_messages import MarketMessage, to_market_message
from shared.adapters.schemas.predictions import decode_prediction, encode_prediction
from shared.adapters.schemas.wire import canonical_json
from shared.core.errors import BadInput
from shared.core.records import (
    Amendment,
    Candle,
    Fill,
    Gap,
    MarketMove,
    Promotion,
    Record,
    StatusName,
    SymbolStatus,
)
from shared.core.sequence import MAX_BASKETS, candle_row, row_candle
from shared.core.topics import partition_for
from tests.support.builders import (
    START_MS,
    STEP_MS,
    a_model,
    a_promotion,
    a_walk,
    candle_bytes,
    candles,
    fold_all,
)

CODEC = KlineCodec("5m", STEP_MS, 6)
PARTITION = partition_for("BTCUSDT", 6)


def changed(**fields: object) -> bytes:
    return canonical_json({**json.loads(candle_bytes()), **fields})


def test_a_candle_survives_its_bytes() -> None:
    assert CODEC.decode(candle_bytes(3), PARTITION) == Candle(
        "BTCUSDT", START_MS + 3 * STEP_MS, 100.0, 1000.0, 1.0, 100.5, 12.5
    )


def test_a_whole_kline_and_the_markets_move_survive_their_bytes() -> None:
    candle = CODEC.decode(FULL, PARTITION)

    assert isinstance(candle, Candle)
    assert (candle.quote_volume, candle.trades, candle.taker_buy_volume) == (1255.0, 7, 0.5)
    assert candle.market == MarketMove(-0.001234567, 40, "00c0ffee", (0.25, None))
    assert to_market_message(candle.market).model_dump() == MARKET
    assert row_candle(candle.symbol, candle_row(candle)[0].tolist()) == replace(
        candle,
        market=replace(candle.market, basket_changes=(0.25, *[None] * (MAX_BASKETS - 1))),
    )


@pytest.mark.parametrize(
    "market",
    [
        {"symbols": 1, "change_ppb": -(10**9)},
        {"symbols": 1, "change_ppb": 10**12 + 1},
        {"symbols": 1, "change_ppb": 0.5},
        {"symbols": 1, "baskets": "00c0ffee"},
        {"symbols": 1, "basket_changes_ppb": [1]},
        {"symbols": 1, "baskets": "00c0ffee", "basket_changes_ppb": [1] * (MAX_BASKETS + 1)},
        {"symbols": -1},
        {"change_ppb": 1},
    ],
)
def test_a_market_that_cannot_be_is_refused(market: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="market"):
        CODEC.decode(changed(market=market), PARTITION)


def test_a_move_that_is_added_to_bytes_is_where_encoding_the_whole_puts_it() -> None:
    plain = json.loads(FULL)
    market = MarketMessage.model_validate(plain.pop("market"))
    candle = CODEC.decode(FULL, PARTITION)
    assert isinstance(candle, Candle)
    assert candle.market is not None

    assert to_market_message(candle.market) == market
    assert add_market(canonical_json(plain), candle.market) == FULL


def test_the_bytes_of_a_record_are_canonical() -> None:
    value = candle_bytes()

    assert value == json.dumps(json.loads(value), sort_keys=True, separators=(",", ":")).encode()


def test_a_field_of_a_later_version_is_read_over() -> None:
    assert isinstance(CODEC.decode(changed(mood="good"), PARTITION), Candle)


def test_records_without_a_candle_of_their_own_survive_their_bytes() -> None:
    gap = Gap("BTCUSDT", START_MS, START_MS + STEP_MS)
    promotion = PromotionMessage(
        type="promotion", model_version="v1", bundle_sha256="0" * 64, numeric_profile="1-f00"
    )

    assert CODEC.decode(encode_gap(gap, "5m"), PARTITION) == Gap(
        "BTCUSDT", START_MS, START_MS + STEP_MS
    )
    assert CODEC.decode(encode_record(promotion), 5) == Promotion("v1", "0" * 64, "1-f00")


@pytest.mark.parametrize(("kind", "record"), [("amendment", Amendment), ("fill", Fill)])
def test_a_correction_has_the_fields_of_a_candle(
    kind: CorrectionKind, record: type[Amendment | Fill]
) -> None:
    value = encode_correction(FULL, kind)

    assert json.loads(value) == {**json.loads(FULL), "type": kind}
    candle = CODEC.decode(FULL, PARTITION)
    assert isinstance(candle, Candle)
    assert CODEC.decode(value, PARTITION) == record(candle)


def test_only_a_candle_becomes_a_correction() -> None:
    gap = Gap("BTCUSDT", START_MS, START_MS + STEP_MS)
    with pytest.raises(ValueError, match="not the bytes of a candle"):
        encode_correction(encode_gap(gap, "5m"), "fill")


@pytest.mark.parametrize("status", get_args(StatusName))
def test_a_status_survives_its_bytes(status: StatusName) -> None:
    record = SymbolStatus("BTCUSDT", START_MS, status, "the exchange lists it no more: 退市")

    assert CODEC.decode(encode_status(record, "5m"), PARTITION) == record
    assert record.ends_symbol == (status in {"delisted", "removed"})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"time_ms": START_MS + 1}, "off_grid"),
        ({"time_ms": -STEP_MS}, "bad_field"),
        ({"status": "asleep"}, "bad_field"),
        ({"reason": ""}, "bad_field"),
        ({"reason": "x" * (MAX_REASON_LENGTH + 1)}, "bad_field"),
        ({"reason": "two\nlines"}, "bad_field"),
        ({"interval": "1m"}, "wrong_interval"),
        ({"symbol": "ETHUSDT"}, "wrong_group"),
    ],
)
def test_a_status_that_cannot_be_is_refused(fields: dict[str, object], reason: str) -> None:
    status = json.loads(encode_status(SymbolStatus("BTCUSDT", START_MS, "halted", "BREAK"), "5m"))
    with pytest.raises(BadInput) as refused:
        CODEC.decode(canonical_json({**status, **fields}), PARTITION)

    assert refused.value.reason == reason


def test_a_status_is_checked_before_it_is_written() -> None:
    with pytest.raises(BadInput, match="reason"):
        encode_status(SymbolStatus("BTCUSDT", START_MS, "halted", ""), "5m")


BAD = {
    "no_value": (None, "bad_size"),
    "empty": (b"", "not_json"),
    "not_json": (b"{", "not_json"),
    "binary": (bytes(range(256)), "not_json"),
    "a_list": (b"[]", "bad_field"),
    "too_large": (changed(symbol="A" * MAX_RECORD_BYTES), "bad_size"),
    "deeply_nested": (b"[" * 2000 + b"]" * 2000, "not_json"),
    "unknown_schema": (changed(schema=2), "unknown_schema"),
    "unknown_type": (changed(type="trade"), "unknown_schema"),
    "nan_price": (changed(close="NaN"), "bad_field"),
    "nan_literal": (candle_bytes().replace(b'"100.5"', b"NaN"), "bad_field"),
    "number_price": (changed(close=100.5), "bad_field"),
    "negative_price": (changed(close="-1.0"), "bad_field"),
    "zero_price": (changed(low="0", close="0.00"), "bad_price"),
    "exponent_price": (changed(close="1e999"), "bad_field"),
    "huge_price": (changed(high="9" * 20), "bad_price"),
    "boolean_time": (changed(open_time_ms=True), "bad_field"),
    "negative_time": (changed(open_time_ms=-STEP_MS), "bad_field"),
    "far_future": (changed(open_time_ms=10**16), "bad_field"),
    "year_10000": (changed(open_time_ms=253_402_300_800_000), "bad_field"),
    "off_grid": (changed(open_time_ms=START_MS + 1), "off_grid"),
    "high_below_close": (changed(high="50"), "inconsistent_prices"),
    "low_above_open": (changed(low="200"), "inconsistent_prices"),
    "negative_volume": (changed(volume="-3"), "bad_field"),
    "endless_volume": (changed(volume="1" * 21), "bad_field"),
    "lower_case_symbol": (changed(symbol="btcusdt"), "bad_field"),
    "wrong_interval": (changed(interval="1m"), "wrong_interval"),
    "wild_profile": (
        b'{"type":"promotion","model_version":"v1","bundle_sha256":"%064d","numeric_profile":""}'
        % 0,
        "bad_field",
    ),
    "no_profile": (
        b'{"type":"promotion","model_version":"v1","bundle_sha256":"%064d"}' % 0,
        "bad_field",
    ),
    "wrong_group": (changed(symbol="ETHUSDT"), "wrong_group"),
}


@pytest.mark.parametrize(("value", "reason"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_with_its_reason(value: bytes | None, reason: str) -> None:
    with pytest.raises(BadInput) as refused:
        CODEC.decode(value, PARTITION)

    assert refused.value.reason == reason
    assert str(refused.value)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_record_or_a_reason(value: bytes) -> None:
    with contextlib.suppress(BadInput):
        CODEC.decode(value, 0)


def test_a_prediction_survives_its_bytes() -> None:
    model = a_model()
    _, predictions = fold_all([a_promotion(model), *candles(a_walk(20))], {model.version: model})

    for prediction in predictions:
        assert decode_prediction(encode_prediction(prediction)) == prediction


# Its fields, as numeric profile 2 publishes them. They stay on the topic for ever.
OF_PROFILE_2: Final = {
    "schema": 1,
    "symbol": "BTCUSDT",
    "interval": "5m",
    "open_time_ms": START_MS,
    "close": 100.5,
    "predicted_change": -0.25,
    "predicted_close": 75.375,
    "change_scale": 0.5,
    "calibration": 0.5,
    "calibrated_change": -0.125,
    "calibrated_close": 87.9375,
    "actionable": False,
    "model_version": "20250104T1120-45e6e01e",
    "steps": 1,
    "loss": 0.25,
    "was_reset": False,
    "previous": {
        "open_time_ms": START_MS - STEP_MS,
        "model_version": "20250104T1120-45e6e01e",
        "predicted_change": 0.5,
        "calibrated_change": 0.25,
        "outcome_change": 0.25,
    },
    "scores": {
        "n": 1,
        "squared_error": 0.0625,
        "squared_error_zero": 0.0625,
        "absolute_error": 0.25,
        "absolute_error_zero": 0.25,
        "sign_hits": 1,
        "moves": 1,
        "squared_error_calibrated": 0.0,
    },
    "source_offset": 20,
    "promotion_offset": 0,
    "state_digest": "9b" * 32,
    "numeric_profile": "2-fb10993c9bbb10a6",
}


def test_a_published_prediction_is_read_by_this_version_too() -> None:
    prediction = decode_prediction(canonical_json(OF_PROFILE_2))

    assert prediction.numeric_profile == OF_PROFILE_2["numeric_profile"]
    assert prediction.scores.absolute_error == 0.25


def test_what_is_no_prediction_is_refused() -> None:
    with pytest.raises(BadInput):
        decode_prediction(b"{}")


def outcome(decode: Callable[[bytes, int], Record], value: bytes, partition: int) -> object:
    try:
        return decode(value, partition)
    except BadInput as error:
        return error.reason, str(error)


UNICODE_SYMBOL: Final = "币安人生USDT"
decimals = st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,20})?", fullmatch=True)
prices = (
    st.sampled_from(
        ["100", "100.0", "99.5", "000101.250", "1000000000000000", "1000000000000000.1", "0"]
    )
    | decimals
)
counts = st.integers(0, 10**15 - 1)
changes_ppb = st.integers(-999_999_999, 10**12)
medians_ppb = st.none() | changes_ppb
markets = st.fixed_dictionaries(
    {"change_ppb": medians_ppb, "symbols": st.integers(0, 1_000_000)},
) | st.fixed_dictionaries(
    {
        "change_ppb": medians_ppb,
        "symbols": st.integers(0, 1_000_000),
        "baskets": st.from_regex(r"[0-9a-f]{8}", fullmatch=True),
        "basket_changes_ppb": st.lists(medians_ppb, max_size=MAX_BASKETS),
    }
)
candle_fields = st.fixed_dictionaries(
    {
        "open": prices,
        "high": prices,
        "low": prices,
        "close": prices,
        "volume": decimals,
        "open_time_ms": st.sampled_from([0, START_MS, START_MS + 1, 253_402_300_800_000 - STEP_MS]),
        "symbol": st.sampled_from(["BTCUSDT", "ETHUSDT", UNICODE_SYMBOL]),
        "interval": st.sampled_from(["5m", "1m"]),
        "type": st.sampled_from(["candle", "amendment", "fill"]),
    },
    optional={
        "quote_volume": decimals,
        "trades": counts,
        "taker_buy_volume": decimals,
        "taker_buy_quote_volume": decimals,
        "market": markets,
    },
)
MARKET = {
    "change_ppb": -1_234_567,
    "symbols": 40,
    "baskets": "00c0ffee",
    "basket_changes_ppb": [250_000_000, None],
}
FULL = candle_bytes(
    quote_volume="1255",
    trades=7,
    taker_buy_volume="0.5",
    taker_buy_quote_volume="50.25",
    market=MARKET,
)
# What JSON reads otherwise than it looks, and what a pattern may take for what it is not.
ODDITIES = [
    b"0",
    b"01",
    b"-",
    b"e2",
    b".",
    b"\n",
    b" ",
    b'"',
    b"\\u0031",
    b"\\u0041",
    b"\xd9\xa1",
    b"\xff",
    b"null",
    b"}",
]
ODD_FIELDS = [
    b'"close":"1.0",',
    b'"schema":1,',
    b'"trades":01,',
    b'"trades":1.0,',
    b'"trades":-0,',
    b'"mood":"good",',
    b'"quote_volume":null,',
    b'"type":"gap",',
    b'"symbols":-1,',
    b'"change_ppb":0.5,',
    b'"market":null,',
    b'"baskets":null,',
]


@given(candle_fields)
def test_a_candle_is_read_alike_by_its_usual_bytes_and_field_by_field(
    fields: dict[str, object],
) -> None:
    value = encode_record(CandleMessage.model_validate(fields))

    assert outcome(CODEC.decode, value, PARTITION) == outcome(CODEC._validate, value, PARTITION)


def test_a_symbol_of_any_script_is_read_by_the_usual_pattern() -> None:
    value = candle_bytes(symbol=UNICODE_SYMBOL)
    partition = partition_for(UNICODE_SYMBOL, CODEC.partitions)

    candle = CODEC._match_candle(value, partition)

    assert UNICODE_SYMBOL.encode() in value
    assert candle is not None
    assert candle == CODEC._validate(value, partition)


@given(st.data())
def test_changed_bytes_are_read_alike_too(data: st.DataObject) -> None:
    value = FULL
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(value)))
        until = data.draw(st.integers(start, min(start + 3, len(value))))
        put = data.draw(st.sampled_from(ODDITIES) | st.binary(max_size=2))
        value = value[:start] + put + value[until:]

    assert outcome(CODEC.decode, value, PARTITION) == outcome(CODEC._validate, value, PARTITION)


@pytest.mark.parametrize("put", ODD_FIELDS)
def test_an_odd_field_is_read_alike_wherever_it_stands(put: bytes) -> None:
    for at in [at + 1 for at, byte in enumerate(FULL) if byte in b"{,"]:
        value = FULL[:at] + put + FULL[at:]

        assert outcome(CODEC.decode, value, PARTITION) == outcome(CODEC._validate, value, PARTITION)


@pytest.mark.parametrize("put", [b"", *ODDITIES])
def test_one_odd_place_is_read_alike_wherever_it_is(put: bytes) -> None:
    for at in range(len(FULL) + 1):
        for value in (FULL[:at] + put + FULL[at:], FULL[:at] + put + FULL[at + 1 :]):
            assert outcome(CODEC.decode, value, PARTITION) == outcome(
                CODEC._validate, value, PARTITION
            )


def test_what_the_producer_writes_goes_the_short_way() -> None:
    for value in (FULL, candle_bytes()):
        assert CODEC._match_candle(value, PARTITION) == CODEC._validate(value, PARTITION)
