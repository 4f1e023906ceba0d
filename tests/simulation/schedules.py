"""What goes wrong, drawn from a seed: the same seed, the same run."""

from collections.abc import Iterator
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
    "watermark": 25,
    "load": 6,
}
_KINDS: Final = ("init", "places", "produce", "group", "offsets", "end", "end", "end", "committed", "ends", "state",
                 "watermark", "load")  # fmt: skip
_HAPPENINGS: Final = (
    "kill", "kill", "kill all", "stop", "scale", "scale", "pause", "pause", "cut", "broker down", "evict", "evict",
    "forget offsets", "redis flush", "redis snapshot", "redis restore", "redis down",
)  # fmt: skip
_LENGTHS_S: Final = (0.2, 1.5, 4.0, 12.0, 25.0, 70.0)


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
class Schedule:
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


def drawn(seed: int, scripts: int) -> Schedule:
    """Return the schedule of a seed."""
    rng = Random(f"schedule {seed}")
    fates = []
    for _ in range(rng.randint(0, 8)):
        kind = rng.choice(_KINDS)
        nth = rng.randint(1, _REQUESTS[kind])
        fates.append(Fated(kind, nth, rng.choice(list(Fate)), rng.choice(_LENGTHS_S)))
    happenings = [
        Happening(rng.randint(1, _LAST_TURN), rng.choice(_HAPPENINGS), rng.randrange(6), rng.choice(_LENGTHS_S))
        for _ in range(rng.randint(0, 8))
    ]
    return Schedule(
        seed, rng.randrange(scripts), rng.randint(1, 3), rng.random() < 0.3, tuple(fates), tuple(happenings)
    )


def smaller(schedule: Schedule) -> Iterator[Schedule]:
    """Yield the schedules with one thing less going wrong."""
    for at in range(len(schedule.fates)):
        yield replace(schedule, fates=schedule.fates[:at] + schedule.fates[at + 1 :])
    for at in range(len(schedule.happenings)):
        yield replace(schedule, happenings=schedule.happenings[:at] + schedule.happenings[at + 1 :])
    if schedule.replicas > 1:
        yield replace(schedule, replicas=schedule.replicas - 1)
    if schedule.slow_markers:
        yield replace(schedule, slow_markers=False)
