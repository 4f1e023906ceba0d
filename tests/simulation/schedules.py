"""What goes wrong, drawn from a seed: the same seed, the same run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from tests.simulation.network import Fate

_LAST_TURN: Final = 150
# How often a run without faults makes such a request: a fate is given to one of these.
_REQUESTS: Final = {
    "init": 4,
    "places": 30,
    "produce": 30,
    "group": 25,
    "offsets": 25,
    "end": 25,
    "committed": 6,
    "ends": 12,
    "state": 40,
    "applied_offset": 25,
    "load": 6,
}
_KINDS: Final = (*_REQUESTS, "end", "end")
HAPPENINGS: Final = (
    "kill", "kill", "kill all", "stop", "scale", "scale", "pause", "pause", "cut", "broker down", "evict", "evict",
    "forget offsets", "redis flush", "redis snapshot", "redis restore", "redis down",
)  # fmt: skip
_LENGTHS_S: Final = (0.2, 1.5, 4.0, 12.0, 25.0, 70.0)
_LATE: Final = (Fate.LATE, Fate.DOUBLED)
_LATE_S: Final = (
    0.01,
    0.03,
    0.06,
    0.1,
    0.2,
    0.5,
    1.5,
    12.0,
)  # so that it may arrive within the next transaction


@dataclass(frozen=True, slots=True)
class Fated:
    """What befalls the nth request of a kind."""

    what: str
    nth: int
    fate: Fate
    length_s: float


@dataclass(frozen=True, slots=True)
class Happening:
    """What happens before a turn."""

    turn: int
    what: str
    which: int
    length_s: float


@dataclass(frozen=True, slots=True)
class FaultSchedule:
    """A run: its seed decides who has the next turn, the rest stands here."""

    seed: int
    script: int
    replicas: int
    slow_markers: bool
    fates: tuple[Fated, ...]
    happenings: tuple[Happening, ...]

    @property
    def size(self) -> int:
        return len(self.fates) + len(self.happenings)


def drawn(seed: int, scripts: int) -> FaultSchedule:
    """Return the schedule of a seed."""
    rng = Random(f"schedule {seed}")
    fates = [_fated(rng) for _ in range(rng.randint(0, 8))]
    if rng.random() < 0.5:
        fates += _late_commit(rng)
    if rng.random() < 0.2:
        fates.append(_late_thread(rng))
    happenings = [
        Happening(
            rng.randint(1, _LAST_TURN),
            rng.choice(HAPPENINGS),
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
        tuple(fates),
        tuple(happenings),
    )


def _fated(rng: Random) -> Fated:
    kind = rng.choice(_KINDS)
    fate = rng.choice((*Fate, *_LATE))
    length_s = rng.choice(_LATE_S if fate in _LATE else _LENGTHS_S)
    return Fated(kind, rng.randint(1, _REQUESTS[kind]), fate, length_s)


def _late_commit(rng: Random) -> list[Fated]:
    """A commit that arrives in the midst of the next transaction, which then does not come to its own."""
    nth = rng.randint(1, _REQUESTS["end"])
    fate, length_s = rng.choice(_LATE), rng.choice(_LATE_S)
    return [
        Fated("end", nth, fate, length_s),
        Fated("group", nth + 1, Fate.PAUSE_BEFORE, 2 * length_s),
        Fated("offsets", nth + 1, rng.choice((Fate.CRASH_BEFORE, Fate.LOST)), length_s),
    ]


def _late_thread(rng: Random) -> Fated:
    """A call that hangs before the broker knows of its transaction, and goes on long after it was given up."""
    return Fated("places", rng.randint(1, _REQUESTS["places"]), Fate.HANG, rng.choice((25.0, 70.0)))


def smaller(schedule: FaultSchedule) -> Iterator[FaultSchedule]:
    """Yield the schedules with one thing less going wrong."""
    for at in range(len(schedule.fates)):
        yield replace(schedule, fates=schedule.fates[:at] + schedule.fates[at + 1 :])
    for at in range(len(schedule.happenings)):
        yield replace(schedule, happenings=schedule.happenings[:at] + schedule.happenings[at + 1 :])
    if schedule.replicas > 1:
        yield replace(schedule, replicas=schedule.replicas - 1)
    if schedule.slow_markers:
        yield replace(schedule, slow_markers=False)


def shrunk(schedule: FaultSchedule, fails: Callable[[FaultSchedule], bool]) -> FaultSchedule:
    """Return a schedule that still fails and fails no more with any one thing less."""
    while True:
        less = next((s for s in smaller(schedule) if fails(s)), None)
        if less is None:
            return schedule
        schedule = less
