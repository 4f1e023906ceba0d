"""Kind 6: what cannot be read, and what looks as if it could not."""

from typing import Final

from tests.feed.scenario import Expected, Scenario
from tests.feed.scenarios.common import LETTERS, ONE, away, lost, rows

SOON: Final = {"GAP_AFTER_S": "1", "OUTAGE_GAP_AFTER_S": "1"}

SCENARIOS: Final = (
    Scenario(
        "rows are floats for some seconds",
        6,
        (lost(3.5, 3), rows("floats", 3, 5)),
        expected=LETTERS,
    ),
    Scenario(
        "the history is floats for some seconds", 6, (rows("floats", None, 7),), expected=LETTERS
    ),
    Scenario(
        "rows are of another interval for some seconds",
        6,
        (lost(3.5, 3), rows("other-interval", 3, 5)),
        expected=LETTERS,
    ),
    Scenario(
        "rows lack columns for some seconds",
        6,
        (lost(3.5, 3), rows("short", 3, 5)),
        expected=LETTERS,
    ),
    Scenario(
        "closes are NaN for some seconds",
        6,
        (lost(3.5, 3), rows("unreadable", 3, 5)),
        expected=LETTERS,
    ),
    Scenario(
        "one row is NaN for some seconds",
        6,
        (*away(3, 1.5), rows("unreadable", 3, 6, candles=[4, 5])),
        expected=LETTERS,
    ),
    Scenario(
        "volumes of rest have exponents",
        6,
        (rows("exponents", None, 3600), lost(3.5, 3)),
        quick=True,
    ),
    Scenario("volumes of the stream have exponents", 6, ({"kind": "kline-exponents"},)),
    Scenario(
        "closes of the stream are floats for some candles",
        6,
        ({"kind": "kline-floats", "at": 3, "for_candles": 3},),
        expected=LETTERS,
    ),
    Scenario(
        "closes of the stream are NaN for some candles",
        6,
        ({"kind": "kline-unreadable", "at": 3, "for_candles": 3},),
        expected=LETTERS,
    ),
    Scenario(
        "closes of the stream are of another interval",
        6,
        ({"kind": "kline-other-interval", "at": 3, "for_candles": 3, "symbols": ONE},),
        expected=LETTERS,
    ),
    Scenario(
        "rows are off the grid after a hole",
        6,
        (
            {"kind": "hole", "at": 3, "for_candles": 2, "symbols": ONE},
            {"kind": "off-grid", "at": 5, "for_candles": 8, "symbols": ONE, "seconds": 14.789},
        ),
        candles=16,
        producer=SOON,
        expected=LETTERS,
    ),
    Scenario(
        "many rows of the history are off the grid after a hole",
        6,
        (
            {"kind": "hole", "candles": [-480, -330], "symbols": ONE},
            {"kind": "off-grid", "candles": [-330, -84], "symbols": ONE, "seconds": 14.789},
        ),
        exchange={"history": "600"},
        producer={**SOON, "BACKFILL_CANDLES": "560"},
        expected=Expected(dead_letters=12, gaps=6),
        quick=True,
    ),
    Scenario(
        "all rows are off the grid for some candles",
        6,
        ({"kind": "off-grid", "at": 4, "for_candles": 4, "seconds": 30.0},),
        producer=SOON,
        candles=16,
        expected=LETTERS,
    ),
    Scenario(
        "a row stays unreadable for longer than is waited",
        6,
        (
            lost(3.5, 2, symbols=ONE),
            rows("unreadable", 0, 16, candles=[4, 5], symbols=ONE),
        ),
        producer=SOON,
        candles=34,
        expected=Expected(dead_letters=4, gaps=1, fills=(1, 1)),
    ),
)
