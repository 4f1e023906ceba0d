"""Which fault comes when: drawn from a seed, so the same seed gives the same plan."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

PAIRS: Final = 0.25  # chance that a second fault comes before the first is over
LEAD_S: Final = 4.0  # of the first fault before the second, at most


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault."""

    name: str
    lengths_s: tuple[float, float]  # from the shortest to the longest
    bound_s: float  # no symbol group is silent for longer than this and the fault's length


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a plan."""

    kind: str
    slot: int  # of the replica concerned
    length_s: float
    after_s: float = 0.0  # the beginning of its episode


Episode = tuple[Fault, ...]
"""Faults that happen at once. Between episodes, things calm down."""


def planned(seed: int, kinds: Sequence[Kind], slots: Sequence[int]) -> Iterator[Episode]:
    """Yield episodes for ever: each kind comes once before any comes again, some of them with a second one.

    >>> kinds = [Kind("a", (0.0, 1.0), 5.0), Kind("b", (2.0, 2.0), 5.0)]
    >>> plan = planned(1, kinds, [0, 1])
    >>> sorted(next(plan)[0].kind for _ in kinds)
    ['a', 'b']
    """
    chance = random.Random(seed)
    while True:
        for kind in chance.sample(kinds, len(kinds)):
            first = _drawn(chance, kind, slots, 0.0)
            if chance.random() < PAIRS:
                yield (
                    first,
                    _drawn(chance, chance.choice(kinds), slots, chance.uniform(0.0, LEAD_S)),
                )
            else:
                yield (first,)


def _drawn(chance: random.Random, kind: Kind, slots: Sequence[int], after_s: float) -> Fault:
    return Fault(
        kind.name,
        chance.choice(slots),
        round(chance.uniform(*kind.lengths_s), 1),
        round(after_s, 1),
    )
