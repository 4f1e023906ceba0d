"""The plan of faults, drawn from a seed: the same seed gives the same plan."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

PAIRS: Final = 0.25  # probability of a second fault before the first is over
LEAD_S: Final = 4.0  # the second fault starts at most this much later


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault."""

    name: str
    lengths_s: tuple[float, float]  # shortest, longest
    bound_s: float  # longest silence of a partition, beyond the length of the fault


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the plan."""

    kind: str
    slot: int  # of the replica that it strikes
    length_s: float
    after_s: float = 0.0  # since the start of its episode


Episode = tuple[Fault, ...]
"""Faults that happen at once. The system recovers between two episodes."""


def draw_plan(seed: int, kinds: Sequence[Kind], slots: Sequence[int]) -> Iterator[Episode]:
    """Yield episodes for ever: every kind once before any is repeated, some with a second fault.

    >>> kinds = [Kind("a", (0.0, 1.0), 5.0), Kind("b", (2.0, 2.0), 5.0)]
    >>> plan = draw_plan(1, kinds, [0, 1])
    >>> sorted(next(plan)[0].kind for _ in kinds)
    ['a', 'b']
    """
    rng = random.Random(seed)
    while True:
        for kind in rng.sample(kinds, len(kinds)):
            first = _draw_fault(rng, kind, slots, 0.0)
            if rng.random() < PAIRS:
                yield (
                    first,
                    _draw_fault(rng, rng.choice(kinds), slots, rng.uniform(0.0, LEAD_S)),
                )
            else:
                yield (first,)


def _draw_fault(rng: random.Random, kind: Kind, slots: Sequence[int], after_s: float) -> Fault:
    return Fault(
        kind.name,
        rng.choice(slots),
        round(rng.uniform(*kind.lengths_s), 1),
        round(after_s, 1),
    )
