"""Read JSON of unknown origin within bounds, so that no text can hurt its reader. PURE.

Python's own reader accepts more than JSON is (NaN, a key twice), and raises other errors than
ValueError for what is nested too deep or has numbers with thousands of digits.
"""

import json
from math import isinf
from typing import Any, Final, NoReturn

from shared.core.errors import BadInput

MAX_BYTES: Final = 8_000_000
MAX_VALUES: Final = 400_000
MAX_DEPTH: Final = 32
MAX_DIGITS: Final = 100


def decode_json(
    text: str | bytes, *, max_bytes: int = MAX_BYTES, max_values: int = MAX_VALUES
) -> Any:
    """Return the value of a JSON text.

    Args:
        text: the text; bytes are UTF-8.
        max_bytes: its largest size, of a text in characters.
        max_values: the most values in it. An empty list takes two bytes of a text and 64 of memory.

    Raises:
        BadInput: it is larger, has more values, is not JSON in UTF-8, nested deeper than MAX_DEPTH,
            has a number longer than MAX_DIGITS or beyond the largest float, or a key twice.
    """
    if len(text) > max_bytes:
        raise _bad_json(f"it has {len(text)} bytes; allowed: {max_bytes}")
    try:
        text = text.decode() if isinstance(text, bytes) else text
        check_values(text, max_values)
        value = _decoder.decode(text)
    except ValueError as error:
        raise _bad_json(str(error)) from error
    except RecursionError as error:
        raise _bad_json(_TOO_DEEP) from error
    # Most texts have too few brackets to be nested too deep.
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise _bad_json(_TOO_DEEP)
    return value


def check_values(text: str | bytes, max_values: int) -> None:
    """Check the number of values before any is made: each but the first follows a comma or bracket.

    Raises:
        BadInput: there may be more.
    """
    found = _count_marks(text) if isinstance(text, str) else _count_mark_bytes(text)
    if found > max_values:
        raise _bad_json(f"it has up to {found} values; allowed: {max_values}")


def _count_marks(text: str) -> int:
    return text.count(",") + text.count("[") + text.count("{")


def _count_mark_bytes(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")


_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"


def _bad_json(why: str) -> BadInput:
    return BadInput("not_json", f"not readable as JSON: {why}")


def _is_deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for each in level for child in _children(each)]
    return any(isinstance(each, dict | list) for each in level)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _check_digits(text: str) -> str:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has {len(text)} digits, more than {MAX_DIGITS}")
    return text


def _to_int(text: str) -> int:
    return int(_check_digits(text))


def _to_float(text: str) -> float:
    number = float(_check_digits(text))
    if isinf(number):
        raise ValueError(f"the number {text} is beyond the largest float")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {max(keys, key=keys.count)[:100]!r} is there twice")
    return value


_decoder: Final = json.JSONDecoder(
    parse_int=_to_int,
    parse_float=_to_float,
    parse_constant=_refuse_constant,
    object_pairs_hook=_to_object,
)
