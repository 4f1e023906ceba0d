"""Kind 2: answers that come late, slowly, cut, or not at all."""

from typing import Any, Final

from tests.feed.scenario import Scenario
from tests.feed.scenarios.common import ONE, answers, away, lost

KLINES: Final[dict[str, Any]] = {"endpoint": "klines"}

SCENARIOS: Final = (
    Scenario(
        "one answer of klines trickles",
        2,
        (lost(3.5, 2), answers("trickle", 3, **KLINES, times=1, seconds=2)),
        quick=True,
    ),
    Scenario(
        "every thread's answer trickles",
        2,
        (lost(3.5, 3), answers("trickle", 3, **KLINES, times=8, seconds=1)),
    ),
    Scenario(
        "headers trickle",
        2,
        (lost(3.5, 2), answers("trickle-headers", 3, **KLINES, times=4, seconds=1)),
    ),
    Scenario(
        "answers trickle fast enough to look alive",
        2,
        (lost(3.5, 2), answers("trickle", 3, **KLINES, times=4, seconds=0.2)),
    ),
    Scenario(
        "klines are never answered for some seconds",
        2,
        (lost(3.5, 2), answers("stall", 3, **KLINES, for_s=4)),
    ),
    Scenario(
        "klines of one symbol are never answered",
        2,
        (lost(3.5, 2), answers("stall", 3, **KLINES, for_s=5, symbols=ONE)),
    ),
    Scenario(
        "the time is never answered",
        2,
        (lost(3.5, 2), answers("stall", 2, endpoint="time")),
    ),
    Scenario(
        "the time trickles from the start on", 2, (answers("trickle", endpoint="time", seconds=1),)
    ),
    Scenario(
        "the list of symbols trickles at a start",
        2,
        (answers("trickle", endpoint="exchangeInfo", seconds=1, times=2),),
    ),
    Scenario(
        "the history is never answered at a start",
        2,
        (answers("stall", **KLINES, times=3),),
    ),
    Scenario(
        "answers come a second late",
        2,
        (lost(3.5, 3), answers("delay", 2, seconds=1)),
    ),
    Scenario("bodies are cut", 2, (lost(3.5, 3), answers("cut", 3, times=6))),
    Scenario("connections are dropped", 2, (lost(3.5, 3), answers("down", 3, for_s=3))),
    Scenario("the exchange is away for five candles", 2, away(3, 2.5), quick=True),
    Scenario(
        "the exchange is away again and again",
        2,
        (*away(2, 1), *away(6, 1), *away(11, 1)),
        candles=18,
    ),
)
