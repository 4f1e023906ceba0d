"""Schedules of faults and events, drawn from a seed: the same seed gives the same run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from tests.simulation.network import RequestFault, RequestKind

_LAST_STEP: Final = 150
# Requests of each kind in a run without faults: a fault strikes one of these.
_REQUESTS: Final[dict[RequestKind, int]] = {
    "init_producer": 4,
    "add_partitions": 30,
    "produce": 30,
    "add_offsets": 25,
    "commit_offsets": 25,
    "end_transaction": 25,
    "fetch_offset": 6,
    "list_offsets": 12,
    "save_state": 40,
    "save_head": 25,
    "load_states": 6,
}
_KINDS: Final = (*_REQUESTS, "end_transaction", "end_transaction")
EVENTS: Final = (
    "kill", "kill", "kill all", "stop", "scale", "scale", "pause", "pause", "cut", "broker down",
    "evict", "evict", "forget offsets", "redis flush", "redis snapshot", "redis restore",
    "redis down",
)  # fmt: skip
_LENGTHS_S: Final = (0.2, 1.5, 4.0, 12.0, 25.0, 70.0)
_LATE: Final = (RequestFault.LATE, RequestFault.DOUBLED)
_LATE_S: Final = (
    0.01,
    0.03,
    0.06,
    0.1,
    0.2,
    0.5,
    1.5,
    12.0,
)  # short ones arrive within the next transaction


@dataclass(frozen=True, slots=True)
class ScheduledFault:
    """A fault of the nth request of a kind."""

    request: RequestKind
    nth: int
    fault: RequestFault
    length_s: float


@dataclass(frozen=True, slots=True)
class ScheduledEvent:
    """An event before a step: what happens, and to which replica."""

    step: int
    kind: str
    which: int
    length_s: float


@dataclass(frozen=True, slots=True)
class FaultSchedule:
    """Everything that determines a run; its seed also decides which replica makes each step."""

    seed: int
    script: int
    replicas: int
    slow_markers: bool
    faults: tuple[ScheduledFault, ...]
    events: tuple[ScheduledEvent, ...]

    @property
    def size(self) -> int:
        return len(self.faults) + len(self.events)


def draw_schedule(seed: int, scripts: int) -> FaultSchedule:
    """Draw the schedule of a seed."""
    rng = Random(f"schedule {seed}")
    faults = [_draw_fault(rng) for _ in range(rng.randint(0, 8))]
    if rng.random() < 0.5:
        faults += _late_commit(rng)
    if rng.random() < 0.2:
        faults.append(_late_thread(rng))
    events = [
        ScheduledEvent(
            rng.randint(1, _LAST_STEP),
            rng.choice(EVENTS),
            rng.randrange(6),
            rng.choice(_LENGTHS_S),
        )
        for _ in range(rng.randint(0, 8))
    ]
    return FaultSchedule(
        seed,
        rng.randrange(scripts),
        rng.randint(1, 3),
        rng.random() < 0.3,
        tuple(faults),
        tuple(events),
    )


def _draw_fault(rng: Random) -> ScheduledFault:
    kind = rng.choice(_KINDS)
    fault = rng.choice((*RequestFault, *_LATE))
    length_s = rng.choice(_LATE_S if fault in _LATE else _LENGTHS_S)
    return ScheduledFault(kind, rng.randint(1, _REQUESTS[kind]), fault, length_s)


def _late_commit(rng: Random) -> list[ScheduledFault]:
    """Draw a commit that arrives within the next transaction, whose own commit is lost."""
    nth = rng.randint(1, _REQUESTS["end_transaction"])
    fault, length_s = rng.choice(_LATE), rng.choice(_LATE_S)
    return [
        ScheduledFault("end_transaction", nth, fault, length_s),
        ScheduledFault("add_offsets", nth + 1, RequestFault.PAUSE_BEFORE, 2 * length_s),
        ScheduledFault(
            "commit_offsets",
            nth + 1,
            rng.choice((RequestFault.CRASH_BEFORE, RequestFault.LOST)),
            length_s,
        ),
    ]


def _late_thread(rng: Random) -> ScheduledFault:
    """Draw a call that hangs before its transaction begins and continues after its deadline."""
    return ScheduledFault(
        "add_partitions",
        rng.randint(1, _REQUESTS["add_partitions"]),
        RequestFault.HANG,
        rng.choice((25.0, 70.0)),
    )


def simplify(schedule: FaultSchedule) -> Iterator[FaultSchedule]:
    """Yield the schedules with one fault or event less."""
    for at in range(len(schedule.faults)):
        yield replace(schedule, faults=schedule.faults[:at] + schedule.faults[at + 1 :])
    for at in range(len(schedule.events)):
        yield replace(schedule, events=schedule.events[:at] + schedule.events[at + 1 :])
    if schedule.replicas > 1:
        yield replace(schedule, replicas=schedule.replicas - 1)
    if schedule.slow_markers:
        yield replace(schedule, slow_markers=False)


def shrink(schedule: FaultSchedule, fails: Callable[[FaultSchedule], bool]) -> FaultSchedule:
    """Remove faults and events until the schedule would no longer fail with one less."""
    while True:
        less = next((s for s in simplify(schedule) if fails(s)), None)
        if less is None:
            return schedule
        schedule = less
