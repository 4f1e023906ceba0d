"""Decode a struct in Thrift's compact protocol, within bounds. PURE.

field     (step from the last field's number << 4 | type), the number itself where the step is 0
number    7 bits a byte, the lowest first; signed ones are folded into 0, -1, 1, -2, ...
list      (count << 4 | type), the count itself where it is 15 or more; then the values
"""

from typing import Any, Final

MAX_DEPTH: Final = 16
_LONGEST_NUMBER: Final = 10  # bytes
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_NUMBERS: Final = {4, 5, 6}  # of 16, 32 and 64 bits
_LISTS: Final = {_LIST, _SET}
_FLAGS: Final = {_TRUE, _FALSE}
_FIXED: Final = {_BYTE: 1, _DOUBLE: 8}


def decode_struct(data: bytes) -> tuple[dict[int, Any], int]:
    """Return the fields of a struct by number, and its size in bytes.

    Numbers, bytes, lists and structs have their values; of anything else there is None.

    >>> decode_struct(bytes([0x15, 0x04, 0x18, 0x01, 0x41, 0x00]))
    ({1: 2, 2: b'A'}, 6)

    Raises:
        ValueError: the bytes are no struct, or end within it.
    """
    reader = _Reader(data)
    try:
        return reader.read_struct(0), reader.at
    except IndexError as error:
        raise ValueError(f"a struct does not end within {len(data)} bytes") from error


class _Reader:
    """Bytes, taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def read_struct(self, depth: int) -> dict[int, Any]:
        _check_depth(depth)
        fields, number = dict[int, Any](), 0
        while head := self._take(1)[0]:
            step, kind = head >> 4, head & 0x0F
            number = number + step if step else self._read_number()
            # A flag's value is its type.
            fields[number] = None if kind in _FLAGS else self._read_value(kind, depth)
        return fields

    def _read_value(self, kind: int, depth: int) -> Any:
        if kind in _NUMBERS:
            return self._read_number()
        if kind == _BINARY:
            return self._take(self._read_unsigned())
        if kind == _STRUCT:
            return self.read_struct(depth + 1)
        if kind in _LISTS:
            return self._read_list(depth + 1)
        if kind not in _FIXED:
            raise ValueError(f"a value of the unknown type {kind}")
        return self._take(_FIXED[kind]) and None

    def _read_list(self, depth: int) -> list[Any]:
        _check_depth(depth)
        head = self._take(1)[0]
        count, kind = head >> 4, head & 0x0F
        count = self._read_unsigned() if count == 15 else count
        kind = _BYTE if kind in _FLAGS else kind
        # A value takes a byte at least.
        if count > len(self._data) - self.at:
            raise IndexError(count)
        return [self._read_value(kind, depth) for _ in range(count)]

    def _take(self, size: int) -> bytes:
        taken = self._data[self.at : self.at + size]
        if len(taken) < size:
            raise IndexError(self.at)
        self.at += size
        return taken

    def _read_unsigned(self) -> int:
        value = 0
        for place in range(_LONGEST_NUMBER):
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value
        raise ValueError(f"a number longer than {_LONGEST_NUMBER} bytes")

    def _read_number(self) -> int:
        value = self._read_unsigned()
        return value >> 1 ^ -(value & 1)


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
