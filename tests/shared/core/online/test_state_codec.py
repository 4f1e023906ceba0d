import pytest

from shared.core.errors import BadInput
from shared.core.online.partition import PartitionState, fold
from shared.core.online.state import SymbolState
from shared.core.online.state_codec import decode_state, encode_state
from tests.support.builders import CONTEXT, a_model, a_promotion, a_walk, candles, fold_all

MODEL = a_model()


def a_state() -> SymbolState:
    records = [a_promotion(MODEL), *candles(a_walk(30))]
    return fold_all(records, {MODEL.version: MODEL})[0].symbols["BTCUSDT"]


def test_a_state_survives_its_bytes() -> None:
    state = a_state()

    assert encode_state(decode_state(encode_state(state))) == encode_state(state)


def test_a_state_without_a_model_survives_its_bytes() -> None:
    change = fold(PartitionState(), candles([1.0])[0], 0, None, CONTEXT)
    state = change.symbols["BTCUSDT"]

    assert encode_state(decode_state(encode_state(state))) == encode_state(state)


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"[1]\n", b'{"schema":99}\n', b"\xff\xfe\n"])
def test_damaged_bytes_are_refused(damage: bytes) -> None:
    with pytest.raises(BadInput) as refused:
        decode_state(damage)

    assert refused.value.reason == "bad_state"


@pytest.mark.parametrize("lost", [1, 100, 4000])
def test_bytes_cut_short_are_refused(lost: int) -> None:
    with pytest.raises(BadInput):
        decode_state(encode_state(a_state())[:-lost])
