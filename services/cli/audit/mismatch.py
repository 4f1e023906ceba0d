"""A record that fails a check, for people and for programs."""

from dataclasses import dataclass
from typing import Any, Final

from shared.core.audit.violation import ABSENT, Violation

_SHOWN_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A violation, and the record that has it."""

    topic: str
    partition: int
    offset: int
    violation: Violation

    def to_json(self) -> dict[str, Any]:
        """Return the values for a program."""
        differences = self.violation.differences
        return {
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "check": self.violation.check.name.lower(),
            "message": self.violation.message,
            "fields": {d.name: {"found": d.found, "expected": d.expected} for d in differences},
        }

    def __str__(self) -> str:
        """Return the text for a user, one line per field."""
        place = f"{self.topic}, partition {self.partition}, offset {self.offset}:"
        fields = (
            f"  {d.name}: found {_text(d.found)}, expected {_text(d.expected)}"
            for d in self.violation.differences
        )
        return "\n".join([place, self.violation.message, *fields])


def _text(value: object) -> str:
    return "null" if value is None else str(value)


def decode_text(data: bytes | None) -> str:
    """Decode the beginning of bytes as text; escape bytes that are not UTF-8."""
    return ABSENT if data is None else data[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
