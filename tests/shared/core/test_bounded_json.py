import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.bounded_json import MAX_DEPTH, MAX_DIGITS, MAX_VALUES, decode_json
from shared.core.errors import BadInput

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**98), 10**98) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
def test_json_within_the_bounds_is_read_as_it_is(value: Any) -> None:
    text = json.dumps(value)

    assert decode_json(text) == decode_json(text.encode()) == value


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_the_depth_is_bounded() -> None:
    assert decode_json(f"[{nested(MAX_DEPTH - 1)}, {{}}]")
    for depth in (MAX_DEPTH + 1, 900, 100_000):
        with pytest.raises(BadInput, match="nested deeper than 32"):
            decode_json(nested(depth))


def test_brackets_in_a_text_or_side_by_side_are_no_depth() -> None:
    value = [["[" * 1_000] for _ in range(300)]

    assert decode_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("9" * 5_000, "a number has 5000 digits, more than 100"),
        ("0." + "9" * MAX_DIGITS, "a number has 102 digits"),
        ("[NaN]", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("1e999", "the number 1e999 is beyond the largest float"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
        ("", "Expecting value"),
        (b"\xff", "utf-8"),
        ("\ufeff[]", "Expecting value"),
        ("[] []", "Extra data"),
    ],
)
def test_what_is_not_json_is_refused_with_the_reason(text: str | bytes, why: str) -> None:
    with pytest.raises(BadInput, match=why) as caught:
        decode_json(text)
    assert caught.value.reason == "not_json"


def test_the_longest_number_is_read() -> None:
    assert decode_json("1" * MAX_DIGITS) == int("1" * MAX_DIGITS)
    assert math.isclose(decode_json("1e308"), 1e308)


@pytest.mark.parametrize("part", ["[]", "{}", "1", '{"a":[1]}'])
def test_the_number_of_values_is_bounded_before_any_is_made(part: str) -> None:
    text = f"[{','.join([part] * (MAX_VALUES + 1))}]"

    for form in (text, text.encode()):
        with pytest.raises(BadInput, match=f"values; allowed: {MAX_VALUES}"):
            decode_json(form)
    assert len(decode_json("[" + ",".join(["0"] * MAX_VALUES) + "]")) == MAX_VALUES


def test_the_size_is_bounded() -> None:
    with pytest.raises(BadInput, match="it has 11 bytes; allowed: 10"):
        decode_json(b'"' + b"a" * 9 + b'"', max_bytes=10)
