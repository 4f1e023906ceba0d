"""The checks of an audit, and the violations that it reports."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from shared.core.online.interval_scores import IntervalScores
from shared.core.online.prediction import Outcome
from shared.core.online.scores import Scores

ABSENT: Final = "nothing"


class Check(StrEnum):
    """The checks of an audit; the value describes each to the user."""

    CANDLES = "candles are contiguous, or a gap covers the hole; fills, amendments and statuses fit"
    MARKET = "the market's move agrees with the candles of its moment"
    PLACE = "one prediction per candle with a full window, in order, under its key and partition"
    CANDLE = "close, open time, corrections and predicted close agree with the candle"
    PREVIOUS = "the previous prediction and its outcome"
    SCORES = "running scores"
    INTERVALS = "intervals: order, closes and running scores"
    STEPS = "steps, their losses and resets"
    LINEAGE = "model versions, their digests, parents and promotions"
    BYTES = "state digest and every byte, by folding the log again"
    DEAD_LETTERS = "one dead letter per rejected record, and no others"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field with the value on the topic and the value it should have."""

    name: str
    found: Any
    expected: Any


@dataclass(frozen=True, slots=True)
class Violation:
    """A check that one record fails."""

    check: Check
    message: str
    differences: tuple[Difference, ...]


def compare_mappings(
    found: Mapping[str, Any], expected: Mapping[str, Any], path: str = ""
) -> Iterator[Difference]:
    """Yield the fields that differ, nested ones by their path. Equal values of two types differ.

    >>> [d.name for d in compare_mappings({"a": 1, "b": {"c": 2.0}}, {"a": 1, "b": {"c": 2}})]
    ['b.c']
    """
    for name in sorted({*found, *expected}):
        theirs, ours = found.get(name, ABSENT), expected.get(name, ABSENT)
        if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
            yield from compare_mappings(theirs, ours, f"{path}{name}.")
        elif type(theirs) is not type(ours) or theirs != ours:
            yield Difference(f"{path}{name}", theirs, ours)


def compare_fields(
    check: Check, message: str, found: object, expected: Mapping[str, Any]
) -> Iterator[Violation]:
    """Yield a violation if any attribute of a record differs from its expected value."""
    wrong = {name: value for name, value in expected.items() if getattr(found, name) != value}
    if wrong:
        theirs = {name: _to_plain(getattr(found, name)) for name in wrong}
        ours = {name: _to_plain(value) for name, value in wrong.items()}
        yield Violation(check, message, tuple(compare_mappings(theirs, ours)))


def _to_plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return {str(interval.coverage): asdict(interval) for interval in value}
    return asdict(value) if isinstance(value, Outcome | Scores | IntervalScores) else value
