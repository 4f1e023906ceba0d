"""Kinds 5 and 11: the set of symbols followed, and their names."""

from typing import Any, Final

from services.exchange_simulator.synthetic import synthetic_symbols
from tests.feed.scenario import Expected, Scenario
from tests.feed.scenarios.common import answers, lost

FIRST: Final = "SYN01USDT"
SECOND: Final = "SYN02USDT"
THIRD: Final = "SYN03USDT"
ALIEN: Final = "SYN币安人生USDT"
ALL: Final = Expected(followed=(FIRST, SECOND, THIRD))
SOON: Final = {"GAP_AFTER_S": "1", "OUTAGE_GAP_AFTER_S": "1"}
INFO: Final[dict[str, Any]] = {"endpoint": "exchangeInfo"}

SCENARIOS: Final = (
    Scenario(
        "the list lacks a named symbol at a start",
        5,
        ({"kind": "info-missing", "symbols": [SECOND], "times": 2},),
        quick=True,
    ),
    Scenario(
        "the list lacks a named symbol for ever",
        5,
        ({"kind": "info-missing", "symbols": [SECOND]},),
    ),
    Scenario(
        "the list lacks symbols while running and all are followed",
        5,
        (
            {"kind": "info-missing", "at": 2, "for_s": 2.5, "symbols": [SECOND]},
            {"kind": "info-missing", "at": 9, "for_s": 3, "count": 2},
        ),
        follow="all",
        expected=ALL,
    ),
    Scenario("the list is empty at a start", 5, ({"kind": "info-empty", "for_s": 6},)),
    Scenario(
        "the list is empty at a start and all are followed",
        5,
        ({"kind": "info-empty", "for_s": 6},),
        follow="all",
        expected=ALL,
    ),
    Scenario(
        "the list is refused at a start", 5, (answers("refusal", **INFO, status=403, for_s=6),)
    ),
    Scenario("the list is refused for ever", 5, (answers("refusal", **INFO, status=403),)),
    Scenario(
        "a symbol in a break at a start trades later and all are followed",
        5,
        ({"kind": "halt", "candles": [-3, 30], "symbols": [SECOND]},),
        follow="all",
        candles=40,
        expected=Expected(followed=(FIRST, SECOND, THIRD), joining=(SECOND,)),
        deadline_s=90.0,
    ),
    Scenario(
        "a new listing joins",
        5,
        ({"kind": "listing", "at": 6, "symbols": [SECOND]},),
        follow="all",
        candles=20,
        expected=ALL,
        deadline_s=90.0,
        producer=SOON,
    ),
    Scenario(
        "a named symbol is listed later",
        5,
        ({"kind": "listing", "at": 6, "symbols": [SECOND]},),
        candles=20,
        deadline_s=90.0,
        producer=SOON,
    ),
    Scenario(
        "a halt and a resumption",
        5,
        ({"kind": "halt", "at": 4, "for_candles": 14, "symbols": [SECOND]},),
        candles=30,
        producer=SOON,
        expected=Expected(statuses={SECOND: ("halted", "resumed")}),
        deadline_s=60.0,
    ),
    Scenario(
        "several symbols halt at once and all are followed",
        5,
        ({"kind": "halt", "at": 4, "for_candles": 14, "symbols": [SECOND, THIRD]},),
        symbols="8",
        follow="all",
        candles=30,
        producer=SOON,
        expected=Expected(
            followed=tuple(synthetic_symbols(8)),
            statuses={SECOND: ("halted", "resumed"), THIRD: ("halted", "resumed")},
        ),
        deadline_s=60.0,
    ),
    Scenario(
        "a halt that does not end",
        5,
        ({"kind": "halt", "at": 4, "symbols": [SECOND]},),
        candles=24,
        producer=SOON,
        expected=Expected(statuses={SECOND: ("halted",)}),
        quick=True,
    ),
    Scenario(
        "a delisted symbol is gone from the list",
        5,
        ({"kind": "delisting", "at": 5, "symbols": [SECOND], "value": "gone"},),
        symbols="12",
        candles=30,
        producer=SOON,
        expected=Expected(ended=(SECOND,), statuses={SECOND: ("delisted",)}),
        deadline_s=90.0,
    ),
    Scenario(
        "a delisted symbol is gone from the list and all are followed",
        5,
        ({"kind": "delisting", "at": 5, "symbols": [SECOND], "value": "gone"},),
        symbols="12",
        follow="all",
        candles=30,
        producer=SOON,
        expected=Expected(
            followed=tuple(synthetic_symbols(12)),
            ended=(SECOND,),
            statuses={SECOND: ("delisted",)},
        ),
        deadline_s=90.0,
    ),
    Scenario(
        "the most traded symbols are followed",
        5,
        (),
        symbols="8",
        follow="top:3:USDT",
    ),
    Scenario(
        "a symbol is added while running",
        5,
        (),
        follow=f"{FIRST},{THIRD}",
        candles=24,
        actions=((3, "add", SECOND),),
        expected=Expected(followed=(SECOND,), joining=(SECOND,)),
    ),
    Scenario(
        "a symbol is removed while running",
        5,
        (),
        candles=24,
        actions=((3, "remove", SECOND),),
        expected=Expected(ended=(SECOND,), statuses={SECOND: ("removed",)}),
    ),
    Scenario(
        "a name of another script is followed", 11, (), symbols=f"{FIRST},{ALIEN}", quick=True
    ),
    Scenario(
        "names of another script are among all",
        11,
        (),
        symbols=f"{FIRST},{ALIEN},SYN1000贝USDT",
        follow="all",
        expected=Expected(followed=(FIRST, ALIEN, "SYN1000贝USDT")),
    ),
    Scenario(
        "a name of another script has its candles from rest",
        11,
        (lost(2, 4, symbols=[ALIEN]),),
        symbols=f"{FIRST},{ALIEN}",
    ),
    Scenario(
        "a name of another script is refused by the stream",
        11,
        ({"kind": "subscribe-refused", "symbols": [ALIEN]},),
        symbols=f"{FIRST},{SECOND},{ALIEN}",
        deadline_s=60.0,
    ),
)
