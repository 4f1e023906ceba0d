"""Decode a struct in Thrift's compact protocol, within bounds. PURE.

field     (step from the last field's number << 4 | type), the number itself where the step is 0
number    7 bits a byte, the lowest first; signed ones are folded into 0, -1, 1, -2, ...
"""

from typing import Any, Final

MAX_DEPTH: Final = 8
_LONGEST_NUMBER: Final = 10  # bytes
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_NUMBERS: Final = {4, 5, 6}  # of 16, 32 and 64 bits
_FIXED: Final = {_BYTE: 1, _DOUBLE: 8}


def decode_struct(data: bytes) -> tuple[dict[int, Any], int]:
    """Return the fields of a struct by number, and its size in bytes.

    Numbers and structs have their values; of anything else there is None.

    >>> decode_struct(bytes([0x15, 0x04, 0x15, 0xC8, 0x01, 0x00]))
    ({1: 2, 2: 100}, 6)

    Raises:
        ValueError: the bytes are no struct, or end within it.
    """
    reader = _Reader(data)
    try:
        return reader.read_struct(0), reader.at
    except IndexError as error:
        raise ValueError(f"a struct does not end within {len(data)} bytes") from error


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


class _Reader:
    """Bytes, taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def read_struct(self, depth: int) -> dict[int, Any]:
        _check_depth(depth)
        fields, number = dict[int, Any](), 0
        while head := self._read_byte():
            step, kind = head >> 4, head & 0x0F
            number = number + step if step else self._read_number()
            fields[number] = self._read_value(kind, depth)
        return fields

    def _read_value(self, kind: int, depth: int) -> Any:
        if kind in _NUMBERS:
            return self._read_number()
        if kind == _STRUCT:
            return self.read_struct(depth + 1)
        self._skip(kind, depth)
        return None

    def _skip(self, kind: int, depth: int) -> None:
        if kind == _BINARY:
            self._pass(self._read_unsigned())
        elif kind in _FIXED:
            self._pass(_FIXED[kind])
        elif kind in {_LIST, _SET}:
            self._skip_list(depth)
        elif kind not in {_TRUE, _FALSE}:
            raise ValueError(f"a field of the unknown type {kind}")

    def _skip_list(self, depth: int) -> None:
        _check_depth(depth)
        head = self._read_byte()
        count, kind = head >> 4, head & 0x0F
        for _ in range(count if count < 15 else self._read_unsigned()):
            if kind in {_TRUE, _FALSE}:
                self._pass(1)
            else:
                self._read_value(kind, depth + 1)

    def _pass(self, size: int) -> None:
        self.at += size
        if self.at > len(self._data):
            raise IndexError(self.at)

    def _read_byte(self) -> int:
        self._pass(1)
        return self._data[self.at - 1]

    def _read_unsigned(self) -> int:
        value = 0
        for place in range(_LONGEST_NUMBER):
            byte = self._read_byte()
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value
        raise ValueError(f"a number longer than {_LONGEST_NUMBER} bytes")

    def _read_number(self) -> int:
        value = self._read_unsigned()
        return value >> 1 ^ -(value & 1)
