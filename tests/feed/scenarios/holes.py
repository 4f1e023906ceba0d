"""Kind 1: candles that REST does not have, or not yet, or not in order."""

from typing import Final

from tests.feed.scenario import MANY, Expected, Scenario
from tests.feed.scenarios.common import FILLED, ONE, away, lost, rows

SOON: Final = {"GAP_AFTER_S": "1", "OUTAGE_GAP_AFTER_S": "1"}
LONG: Final = {"history": "1500"}

SCENARIOS: Final = (
    Scenario(
        "rest lacks three candles for some seconds",
        1,
        (lost(3.5, 4), rows("missing", 0, 5, candles=[4, 7])),
        quick=True,
    ),
    Scenario(
        "rest lacks one candle of one symbol for some seconds",
        1,
        (lost(3.5, 2, symbols=ONE), rows("missing", 0, 5, candles=[4, 5], symbols=ONE)),
    ),
    Scenario(
        "rest lacks every other candle after an outage",
        1,
        (
            *away(3, 2.5),
            rows("missing", 0, 6, candles=[4, 5]),
            rows("missing", 0, 6, candles=[6, 7]),
        ),
    ),
    Scenario(
        "rest lacks the newest candles after an outage",
        1,
        (*away(3, 2.5), rows("missing", 0, 7, candles=[4, 9])),
    ),
    Scenario(
        "rest lacks candles of the history at a start",
        1,
        (rows("missing", None, 8, candles=[-12, -9]),),
    ),
    Scenario(
        "rest lacks the end of the history at a start",
        1,
        (rows("missing", None, 7, candles=[-3, 6]),),
    ),
    Scenario(
        "rest lacks candles for longer than is waited",
        1,
        (lost(2.5, 3, symbols=ONE), rows("missing", 0, 16, candles=[3, 5], symbols=ONE)),
        candles=34,
        producer=SOON,
        expected=FILLED,
    ),
    Scenario(
        "rest lacks candles for longer than is waited and the producer starts again",
        1,
        (lost(2.5, 3, symbols=ONE), rows("missing", 0, 16, candles=[3, 5], symbols=ONE)),
        candles=40,
        producer=SOON,
        actions=((20, "restart producer", ""),),
        expected=FILLED,
    ),
    Scenario(
        "rest lacks candles of all symbols for longer than is waited",
        1,
        (lost(2.5, 3), rows("missing", 0, 16, candles=[3, 5])),
        candles=34,
        producer=SOON,
        expected=FILLED,
    ),
    Scenario(
        "rest has no rows at all for some seconds after an outage",
        1,
        (
            *away(3, 2),
            {"kind": "rest-answer", "endpoint": "klines", "at": 3, "for_s": 5, "value": []},
        ),
    ),
    Scenario(
        "the exchange has a hole",
        1,
        ({"kind": "hole", "at": 4, "for_candles": 3, "symbols": ONE},),
        producer=SOON,
        quick=True,
        expected=Expected(gaps=1),
    ),
    Scenario(
        "the exchange has a hole of all symbols",
        1,
        ({"kind": "hole", "at": 4, "for_candles": 5},),
        producer=SOON,
        expected=Expected(gaps=3),
    ),
    Scenario(
        "the exchange has two holes with a candle between them",
        1,
        (
            {"kind": "hole", "at": 4, "for_candles": 2, "symbols": ONE},
            {"kind": "hole", "at": 7, "for_candles": 2, "symbols": ONE},
        ),
        producer=SOON,
    ),
    Scenario(
        "the exchange has a hole in its history",
        1,
        ({"kind": "hole", "candles": [-20, -16], "symbols": ONE},),
        producer=SOON,
        expected=Expected(gaps=1),
    ),
    Scenario(
        "a hole and an unreachable rest at once",
        1,
        (*away(3, 3), {"kind": "hole", "at": 4, "for_candles": 3, "symbols": ONE}),
        producer=SOON,
    ),
    Scenario(
        "a cache ignores the start after a reconnect",
        1,
        (*away(3, 1.5), rows("start-ignored", 3, 6)),
        exchange=LONG,
        quick=True,
    ),
    Scenario(
        "a cache ignores the start of the history",
        1,
        (rows("start-ignored", None, 7),),
        exchange=LONG,
        producer={"BACKFILL_CANDLES": "1300"},
    ),
    Scenario(
        "a cache is twenty candles old after a reconnect",
        1,
        (*away(3, 1.5), rows("stale", 3, 5, seconds=6000)),
    ),
    Scenario(
        "rows descend in the history",
        1,
        (rows("descending", None, 8),),
    ),
    Scenario("rows descend after a reconnect", 1, (*away(3, 1.5), rows("descending", 3, 5))),
    Scenario("rows come in any order", 1, (*away(3, 1.5), rows("shuffled", 3, 5))),
    Scenario("rows come twice", 1, (*away(3, 1.5), rows("twice", 3, 5))),
    Scenario(
        "rows contradict each other",
        1,
        (*away(3, 1.5), rows("contradicting", 3, 5)),
        expected=Expected(amendments=(0, 3)),
    ),
    Scenario("a row before the start is added", 1, (*away(3, 1.5), rows("not-requested", 3, 5))),
    Scenario(
        "a row from the future is added",
        1,
        (*away(3, 1.5), rows("from-the-future", 3, 5, seconds=86400)),
    ),
    Scenario(
        "400 symbols come back after five candles",
        1,
        away(5, 2.5),
        symbols="400",
        candles=16,
        speed=300,
        exchange={"push_interval_s": "1"},
        expected=Expected(fills=(0, MANY)),
        deadline_s=15.0,
    ),
)
