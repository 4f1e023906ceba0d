import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.messages import (
    MAX_RECORD_BYTES,
    GapMessage,
    KlineCodec,
    PromotionMessage,
    decode_prediction,
    encode_prediction,
    encode_record,
)
from shared.core.candle import Amendment, Candle, Gap, Promotion, symbol_group
from shared.core.errors import BadInput
from tests.builders import START_MS, STEP_MS, a_model, a_promotion, a_walk, candle_bytes, candles, fold_all

CODEC = KlineCodec("5m", STEP_MS, 6)
GROUP = symbol_group("BTCUSDT", 6)


def changed(**fields: object) -> bytes:
    return json.dumps({**json.loads(candle_bytes()), **fields}).encode()


def test_a_candle_survives_its_bytes() -> None:
    assert CODEC.decode(candle_bytes(3), GROUP) == Candle(
        "BTCUSDT", START_MS + 3 * STEP_MS, 100.0, 1000.0, 1.0, 100.5, 12.5
    )


def test_the_bytes_of_a_record_are_canonical() -> None:
    value = candle_bytes()

    assert value == json.dumps(json.loads(value), sort_keys=True, separators=(",", ":")).encode()


def test_a_field_of_a_later_version_is_read_over() -> None:
    assert isinstance(CODEC.decode(changed(mood="good"), GROUP), Candle)


def test_gaps_amendments_and_promotions_survive_their_bytes() -> None:
    gap = GapMessage(
        type="gap", symbol="BTCUSDT", interval="5m", from_open_time_ms=START_MS, until_open_time_ms=START_MS + STEP_MS
    )
    promotion = PromotionMessage(type="promotion", model_version="v1", bundle_sha256="0" * 64)

    assert CODEC.decode(encode_record(gap), GROUP) == Gap("BTCUSDT", START_MS, START_MS + STEP_MS)
    assert CODEC.decode(encode_record(promotion), 5) == Promotion("v1", "0" * 64)
    named = promotion.model_copy(update={"numeric_profile": "1-f00"})
    assert CODEC.decode(encode_record(named), 5) == Promotion("v1", "0" * 64, "1-f00")
    assert isinstance(CODEC.decode(candle_bytes(type="amendment"), GROUP), Amendment)


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
    "off_grid": (changed(open_time_ms=START_MS + 1), "off_grid"),
    "high_below_close": (changed(high="50"), "inconsistent_prices"),
    "low_above_open": (changed(low="200"), "inconsistent_prices"),
    "negative_volume": (changed(volume="-3"), "bad_field"),
    "lower_case_symbol": (changed(symbol="btcusdt"), "bad_field"),
    "wrong_interval": (changed(interval="1m"), "wrong_interval"),
    "wild_profile": (
        b'{"type":"promotion","model_version":"v1","bundle_sha256":"%064d","numeric_profile":""}' % 0,
        "bad_field",
    ),
    "wrong_group": (changed(symbol="ETHUSDT"), "wrong_group"),
}


@pytest.mark.parametrize(("value", "reason"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_with_its_reason(value: bytes | None, reason: str) -> None:
    with pytest.raises(BadInput) as refused:
        CODEC.decode(value, GROUP)

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


def test_what_is_no_prediction_is_refused() -> None:
    with pytest.raises(BadInput):
        decode_prediction(b"{}")
