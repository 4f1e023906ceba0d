"""Damaged samples, as strategies of Hypothesis; it makes what fails as small as it can."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from hypothesis import strategies as st

from tests.fuzz.target import JSON, Target

Path = tuple[str | int, ...]


class Token(str):
    """Text that stands in JSON as it is, be it JSON or not."""

    __slots__ = ()


_TOKENS: Final = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "-0", "-0.0", "1E5", "0.1e400"),
    *("9" * 400, "-" + "9" * 400, "9" * 5_000, "0." + "1" * 5_000, "1e" + "9" * 300),
    *("[" * 200 + "]" * 200, '{"a":' * 150 + "1" + "}" * 150, '"\\ud800"', '"\\u0000"'),
    *('{"a":1,"a":2}', "", "nul", "'a'", "01", "+1", ".5", "1.", '"\\x41"', "[1,]", "/**/1"),
)
HOSTILE: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 2, 7, 0.5, -0.5, 1e-320, 1.7e308, 10**15, 10**16, 10**18),
    *(2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 253402300800000),
    *("", " ", "0", "-1", "1e5", "NaN", "inf", "BTCUSDT", "btcusdt", "5m", "a" * 300, "x" * 5_000),
    *("\x1b[2J", "line\nfeed", "\u202e", "\U0001f600" * 60, "٣٤٥", "²", "1_000", "0x10"),
    *([], [[]], {}, {"": {}}, [None], [1, "a"], [[1, 2], [3]], {"schema": 2}, [0] * 300),
    *(Token(token) for token in _TOKENS),
)
_EXTREMES: Final = tuple(
    number.to_bytes(size, order, signed=True)
    for size in (1, 2, 4, 8)
    for number in (-1, 0, 1, 2 ** (8 * size - 1) - 1, -(2 ** (8 * size - 1)))
    for order in ("little", "big")
)
_PIECES: Final = (
    *(b"", b"\x00", b"\xff", b"\n", b"\r", b",", b'"', b"{", b"}", b"[", b"]", b":", b"-", b"."),
    *(b"e9", b"nan", b"inf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff\xfe", b"\xef\xbb\xbf"),
    *(b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PAR1", b"\x1f\x8b\x08", b"\x89HDF"),
    *(b"9" * 40, b"9" * 5_000, b"a" * 20_000, b"\n" * 500, b"," * 500, b"\x00" * 500),
)


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Return the strategy that damages a target's samples; sometimes it leaves nothing of them."""
    sample = st.sampled_from(target.samples)
    ways = [sample.flatmap(_damaged_bytes), sample.flatmap(_damaged_bytes), st.binary(max_size=64)]
    if target.kind == JSON:
        trees = [json.loads(text) for text in target.samples]
        ways = [st.sampled_from(trees).flatmap(_damaged_json).map(target.wrap), *ways[1:]]
        ways.append(ways[0])
    return st.one_of(ways)


def _damaged_bytes(sample: bytes) -> st.SearchStrategy[bytes]:
    edit = st.tuples(
        st.sampled_from(_EDITS),
        st.integers(0, max(0, len(sample) - 1)),
        st.one_of(st.sampled_from(_EXTREMES), st.sampled_from(_PIECES), st.binary(max_size=12)),
        st.integers(0, 64),
    )
    return st.lists(edit, min_size=1, max_size=5).map(lambda edits: _apply(sample, edits))


def _apply(sample: bytes, edits: list[tuple[Any, int, bytes, int]]) -> bytes:
    data = sample
    for change, at, piece, length in edits:
        data = change(data, min(at, len(data)), piece, length)
    return data


def _flipped(data: bytes, bit: int) -> bytes:
    return bytes([byte ^ 1 << bit % 8 for byte in data])


Edit = Callable[[bytes, int, bytes, int], bytes]
_EDITS: Final[tuple[Edit, ...]] = (
    lambda data, at, piece, _: data[:at] + piece + data[at + len(piece) :],
    lambda data, at, piece, _: data[:at] + piece + data[at:],
    lambda data, at, _, length: data[:at] + data[at + length :],
    lambda data, at, _, length: data[:at] + data[at : at + length] * 3 + data[at + length :],
    lambda data, at, _, __: data[:at],
    lambda data, at, _, length: data[:at] + _flipped(data[at : at + 1], length) + data[at + 1 :],
)


def _damaged_json(tree: Any) -> st.SearchStrategy[bytes]:
    places = list(_places(tree, ()))
    edit = st.tuples(st.sampled_from(places), st.sampled_from(HOSTILE), st.booleans())
    return st.lists(edit, min_size=1, max_size=3).map(lambda edits: _edit_json(tree, edits))


def _edit_json(tree: Any, edits: list[tuple[Path, Any, bool]]) -> bytes:
    for place, value, is_kept in edits:
        tree = _with(tree, place, value, is_kept=is_kept or not place)
    return render(tree).encode("utf-8", "surrogatepass")


def _places(tree: Any, path: Path) -> Iterator[Path]:
    yield path
    children = tree.items() if isinstance(tree, dict) else enumerate(tree[:4])
    for key, child in children:
        if isinstance(child, dict | list):
            yield from _places(child, (*path, key))
        else:
            yield (*path, key)


def _with(tree: Any, place: Path, value: Any, *, is_kept: bool) -> Any:
    """Return a tree with another value at a place, or without what is there."""
    if not place:
        return value
    key, *rest = place
    if isinstance(tree, dict) and isinstance(key, str):
        others = {name: child for name, child in tree.items() if name != key}
        if not rest and not is_kept:
            return others
        return others | {key: _with(tree.get(key), tuple(rest), value, is_kept=is_kept)}
    if isinstance(tree, list) and isinstance(key, int) and key < len(tree):
        changed = _with(tree[key], tuple(rest), value, is_kept=is_kept)
        return [*tree[:key], changed, *tree[key + 1 :]]
    return tree


def render(tree: Any) -> str:
    """Return the JSON of a tree; its tokens stand as they are."""
    if isinstance(tree, Token):
        return str(tree)
    if isinstance(tree, dict):
        fields = ",".join(f"{json.dumps(key)}:{render(one)}" for key, one in tree.items())
        return f"{{{fields}}}"
    if isinstance(tree, list):
        return f"[{','.join(map(render, tree))}]"
    return json.dumps(tree)
