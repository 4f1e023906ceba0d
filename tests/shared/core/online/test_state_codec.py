import json

import pytest

from shared.core.errors import BadInput
from shared.core.online.partition import PartitionState, fold
from shared.core.online.start import build_start
from shared.core.online.state import SymbolState
from shared.core.online.state_codec import decode_state, encode_state
from tests.shared.core.online.models import HEAD
from tests.support.builders import (
    CONTEXT,
    a_model,
    a_promotion,
    a_sequence,
    a_walk,
    candles,
    fold_all,
)

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


def test_a_start_of_an_earlier_version_is_read() -> None:
    """Bundles hold starts for ever: those of schema 3 had no checkpoints and no corrections."""
    start = build_start("BTCUSDT", a_sequence(1, 40), HEAD, CONTEXT)
    assert start is not None
    line, arrays = encode_state(start).split(b"\n", 1)
    fields = json.loads(line)
    for name in ("corrections", "checkpoints", "begins_ms"):
        del fields[name]
    del fields["pending"]["source_offset"]
    fields |= {"schema": 3, "pending": {**fields["pending"], "is_published": False}}

    old = decode_state(json.dumps(fields).encode() + b"\n" + arrays)

    assert encode_state(old) == encode_state(start)
