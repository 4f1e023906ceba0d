"""Kinds 3 and 4: values that are not final yet, and values that change afterwards."""

from typing import Any, Final

from tests.feed.scenario import MANY, Expected, Scenario
from tests.feed.scenarios.common import AMENDED, ONE, away, lost

# A candle of a minute lasts 12 s: what settles within seconds is seen while it settles.
SLOW: Final[dict[str, Any]] = {
    "producer": {"RECONCILE_AFTER_S": "60"},
    "speed": 5.0,
    "candles": 2,
    "exchange": {"interval": "1m"},
    "deadline_s": 30.0,
}
QUIET: Final = {"kind": "kline-silent", "symbols": ONE}
CORRECTED: Final = Expected(amendments=(0, MANY))


def provisional(seconds: float, **more: Any) -> dict[str, Any]:
    return {"kind": "rows-provisional", "seconds": seconds, **more}


SCENARIOS: Final = (
    Scenario("rows settle after 4 s at a start", 3, (provisional(4),), **SLOW),
    Scenario(
        "rows settle after 20 s at a start", 3, (provisional(20),), expected=CORRECTED, **SLOW
    ),
    Scenario(
        "rows settle after 1.7 s and the stream is silent", 3, (provisional(1.7), QUIET), **SLOW
    ),
    Scenario("rows settle after 4 s and the stream is silent", 3, (provisional(4), QUIET), **SLOW),
    Scenario(
        "rows settle after 25 s and the stream is silent",
        3,
        (provisional(25, for_candles=2), QUIET),
        expected=CORRECTED,
        **SLOW,
    ),
    Scenario(
        "rows settle after 10 s and a reconnect comes just after a close",
        3,
        (
            provisional(10),
            lost(0.9, 0.2),
            {"kind": "stream-drop", "at": 1.02, "for_s": 0.2},
        ),
        expected=CORRECTED,
        **SLOW,
    ),
    Scenario(
        "rows settle after 20 s and the producer starts again just before a close",
        3,
        (provisional(20),),
        actions=((0.85, "restart producer", ""),),
        expected=CORRECTED,
        **SLOW,
    ),
    Scenario(
        "a close 20 s before its end",
        3,
        ({"kind": "kline-early-close", "at": 2, "seconds": 20},),
        quick=True,
    ),
    Scenario(
        "a close 20 s before its end and none afterwards",
        3,
        ({"kind": "kline-early-close", "at": 2, "seconds": 20, "for_candles": 3}, lost(2, 3)),
    ),
    Scenario(
        "closes of the next candle at each close",
        3,
        ({"kind": "kline-future-close", "at": 2, "seconds": 300},),
    ),
    Scenario(
        "a close a day ahead",
        3,
        ({"kind": "kline-future-close", "at": 3, "seconds": 86400, "times": 3},),
    ),
    Scenario(
        "a close a day ahead whose event time is ahead too",
        3,
        ({"kind": "kline-future-close", "at": 3, "seconds": 86400, "times": 3, "value": True},),
    ),
    Scenario(
        "a close 90 s ahead of its event time",
        3,
        ({"kind": "kline-future-close", "at": 3, "seconds": 90, "times": 6},),
    ),
    Scenario(
        "the time is 90 s ahead of the rows",
        3,
        ({"kind": "time-ahead", "seconds": 90}, *away(3, 1)),
    ),
    Scenario(
        "the time is a day ahead for some seconds",
        3,
        ({"kind": "time-ahead", "at": 2, "for_s": 3, "seconds": 86400}, *away(3, 1)),
    ),
    Scenario(
        "the time is a day ahead at a start",
        3,
        ({"kind": "time-ahead", "for_s": 5, "seconds": 86400},),
    ),
    Scenario(
        "the time is 90 s behind the rows",
        3,
        ({"kind": "time-ahead", "seconds": -90}, *away(3, 1)),
    ),
    Scenario(
        "the time is a day behind",
        3,
        ({"kind": "time-ahead", "seconds": -86400}, *away(3, 1)),
    ),
    Scenario(
        "the time jumps back by a day",
        3,
        ({"kind": "time-ahead", "at": 3, "seconds": -86400}, *away(5, 1)),
    ),
    Scenario(
        "event times of one symbol are a day ahead",
        3,
        ({"kind": "kline-event-ahead", "at": 2, "seconds": 86400, "symbols": ONE},),
    ),
    Scenario(
        "event times of all symbols are a day ahead for some candles",
        3,
        ({"kind": "kline-event-ahead", "at": 3, "for_candles": 3, "seconds": 86400},),
    ),
    Scenario(
        "a provisional close before the final one",
        4,
        ({"kind": "kline-provisional", "at": 3, "for_candles": 2, "seconds": 0.2},),
        expected=AMENDED,
        quick=True,
    ),
    Scenario(
        "provisional closes of one symbol all the time",
        4,
        ({"kind": "kline-provisional", "at": 2, "symbols": ONE},),
        expected=AMENDED,
    ),
    Scenario(
        "the stream closes with values that rest does not confirm",
        4,
        ({"kind": "kline-wrong", "at": 3, "for_candles": 2, "symbols": ONE},),
        expected=AMENDED,
        quick=True,
    ),
    Scenario(
        "all symbols close with values that rest does not confirm",
        4,
        ({"kind": "kline-wrong", "at": 3, "for_candles": 1},),
        symbols="12",
        expected=AMENDED,
    ),
    Scenario(
        "values are revised two candles after their close",
        4,
        (
            {"kind": "kline-wrong", "at": 3, "for_candles": 3, "symbols": ONE},
            provisional(600, at=3, for_candles=8),
        ),
        candles=20,
        expected=AMENDED,
    ),
    Scenario(
        "a wrong close and a producer that starts again",
        4,
        ({"kind": "kline-wrong", "at": 3, "for_candles": 2},),
        actions=((5.5, "restart producer", ""),),
        expected=AMENDED,
    ),
    Scenario(
        "a value is revised twelve candles after its close and the producer starts again",
        4,
        (
            {"kind": "kline-wrong", "at": 3, "for_candles": 1},
            provisional(3600, at=3, for_candles=16),
        ),
        candles=30,
        actions=((12, "restart producer", ""),),
        expected=AMENDED,
    ),
    Scenario(
        "the same close comes twice",
        4,
        ({"kind": "kline-twice", "at": 2, "seconds": 0.1},),
        expected=Expected(),
    ),
    Scenario(
        "closes come a second late",
        4,
        ({"kind": "kline-late", "at": 2, "for_candles": 6, "seconds": 1},),
        expected=CORRECTED,
    ),
)
