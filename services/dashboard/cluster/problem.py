"""A problem in words, and since when it has been one. PURE."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong now: what, why, and what to do.

    `kind` tells it apart from others: while a problem of a kind goes on, its words may change.
    `since_ms` is when it began, where the facts tell; else it began when it was seen first.
    """

    kind: str
    severity: Severity
    what: str
    why: str
    todo: str
    since_ms: int | None = None


class _Seen(NamedTuple):
    problem: Problem
    since_ms: int


class ProblemList:
    """The problems of now, the most harmful first."""

    def __init__(self) -> None:
        """Begin without problems."""
        self._seen: dict[str, _Seen] = {}

    def update(self, problems: Iterable[Problem], now_ms: int) -> bool:
        """Take the problems of now; return whether any came, went or was put in other words."""
        before = self._seen
        self._seen = {
            each.kind: _Seen(each, before[each.kind].since_ms if each.kind in before else now_ms)
            for each in problems
        }
        return [one.problem for one in before.values()] != [
            one.problem for one in self._seen.values()
        ]

    def __len__(self) -> int:
        """Return the number of problems."""
        return len(self._seen)

    def by_severity(self) -> Counter[str]:
        """Count them by their severity."""
        return Counter(seen.problem.severity for seen in self._seen.values())

    def to_json(self) -> list[dict[str, Any]]:
        """Return them as plain values, errors first."""
        seen = sorted(self._seen.values(), key=lambda one: one.problem.severity != "error")
        return [
            {
                "severity": problem.severity,
                "what": problem.what,
                "why": problem.why,
                "todo": problem.todo,
                "since_ms": since_ms if problem.since_ms is None else problem.since_ms,
            }
            for problem, since_ms in seen
        ]
