"""A scenario: what the exchange does, what is done meanwhile, and what must have come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

MANY: Final = 10**9
Action = Literal["kill producer", "start producer", "restart producer", "add", "remove"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What is seen beside the candles, which must always be those of the exchange.

    Attributes:
        fills: the least and the largest number of fill records.
        amendments: the least and the largest number of amendment records.
        gaps: the largest number of gap records; the holes of the exchange set the least.
        dead_letters: the largest number of dead letters.
        weight: the largest request weight in all.
        attempts: the largest number of stream connections tried.
        refusals: the largest number of answers 418 and 429 that the producer may provoke.
        statuses: by symbol, the status records in order; symbols not named have none but `listed`.
        followed: symbols beside those of `Scenario.follow` that must be in the log.
        joining: symbols whose log begins when they join.
        lagging: symbols that may have nothing in the log.
        ended: symbols whose log may end before the last candle.
        ready: whether the producer must say that it is ready.
    """

    fills: tuple[int, int] = (0, 0)
    amendments: tuple[int, int] = (0, 0)
    gaps: int = MANY
    dead_letters: int = 0
    weight: int = MANY
    attempts: int = 12
    refusals: int = MANY
    statuses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    followed: tuple[str, ...] = ()
    joining: tuple[str, ...] = ()
    lagging: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named scenario.

    Attributes:
        name: what happens, in a few words.
        kind: of the kinds in docs/evidence/faults.md, section "Exchange", in their order.
        faults: the simulator's script; candles are numbered from the first subscription.
        symbols: the simulator's symbols: a number or names.
        follow: the producer's SYMBOLS; empty: every symbol of the simulator by name.
        candles: how many candles after the first subscription must be in the log.
        speed: of the exchange's clock.
        exchange: further settings of the simulator.
        producer: further settings of the producer.
        actions: (candle, action, argument) of what is done meanwhile.
        expected: what must be seen beside the candles.
        deadline_s: real seconds after the last candle until which everything must be there.
        quick: it is part of `make test`.
    """

    name: str
    kind: int
    faults: tuple[Mapping[str, Any], ...] = ()
    symbols: str = "3"
    follow: str = ""
    candles: int = 12
    speed: float = 600.0
    exchange: Mapping[str, str] = field(default_factory=dict)
    producer: Mapping[str, str] = field(default_factory=dict)
    actions: tuple[tuple[float, Action, str], ...] = ()
    expected: Expected = Expected()
    deadline_s: float = 40.0
    quick: bool = False
