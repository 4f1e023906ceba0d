"""Bytes of a record as text for the user."""

from typing import Final

from shared.core.audit.violation import ABSENT

_SHOWN_BYTES: Final = 4096


def decode_text(data: bytes | None) -> str:
    """Return the beginning of bytes as text; what is no UTF-8 is escaped."""
    return ABSENT if data is None else data[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
