"""Records of the topic `dead-letters`: the original bytes, with place and reason as headers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.adapters.schemas.wire import SCHEMA

_LONGEST_MESSAGE: Final = 1000  # characters


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be read. It has no time of writing, so that a replay is equal."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    reason: str
    message: str


def dead_letter_headers(letter: DeadLetter) -> list[tuple[str, bytes]]:
    """Return place and reason as headers; the original bytes stay the record's key and value."""
    fields = {
        "schema": str(SCHEMA),
        "topic": letter.topic,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "reason": letter.reason,
        "message": letter.message[:_LONGEST_MESSAGE],
    }
    return [(name, text.encode()) for name, text in fields.items()]


def decode_dead_letter(
    headers: Mapping[str, bytes], key: bytes | None, value: bytes | None
) -> DeadLetter:
    """Return the dead letter of a record; a field without a header is empty, a number is -1."""
    fields = {name: _decode_text(data) for name, data in headers.items()}
    return DeadLetter(
        topic=fields.get("topic", ""),
        partition=_parse_number(fields.get("partition", "")),
        offset=_parse_number(fields.get("offset", "")),
        key=key,
        value=value,
        reason=fields.get("reason", ""),
        message=fields.get("message", ""),
    )


def dead_letter_offset(headers: Mapping[str, bytes], topic: str, partition: int) -> int | None:
    """Return the offset that a dead letter names in a partition.

    Returns:
        None if it names another partition, -1 if it names no offset.
    """
    if (
        headers.get("topic") != topic.encode()
        or headers.get("partition") != str(partition).encode()
    ):
        return None
    return _parse_number(headers.get("offset", b"").decode("ascii", "replace"))


def _decode_text(data: bytes) -> str:
    """Return the text of a header, cut after the longest that is written."""
    return data[: 4 * _LONGEST_MESSAGE].decode("utf-8", "backslashreplace")[:_LONGEST_MESSAGE]


def _parse_number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else -1
