"""Kind 7, and the streams of kind 10: storms, refusals and limits."""

from typing import Any, Final

from tests.feed.scenario import Expected, Scenario
from tests.feed.scenarios.common import ONE, away

BANNED: Final = Expected(attempts=4)


def stream(kind: str, at: float | None, **more: Any) -> dict[str, Any]:
    return {"kind": f"stream-{kind}", "at": at, **more}


def subscribe(kind: str, **more: Any) -> dict[str, Any]:
    return {"kind": f"subscribe-{kind}", **more}


SCENARIOS: Final = (
    Scenario(
        "connections flap",
        7,
        (stream("flap", 2, for_s=12, seconds=0.2),),
        candles=30,
        expected=Expected(attempts=12),
        deadline_s=90.0,
    ),
    Scenario(
        "connections flap from the start on",
        7,
        (stream("flap", None, for_s=12, seconds=0.5),),
        candles=16,
        expected=Expected(attempts=12),
        deadline_s=90.0,
    ),
    Scenario(
        "connections say something and are lost",
        7,
        (stream("garbage", 2, for_s=8, value="{}"), stream("flap", 2, for_s=8, seconds=0.4)),
        candles=24,
        expected=Expected(attempts=10),
        deadline_s=90.0,
    ),
    Scenario(
        "one name is refused", 7, (subscribe("refused", symbols=ONE),), quick=True, deadline_s=60.0
    ),
    Scenario(
        "two names of many are refused",
        7,
        (subscribe("refused", symbols=["SYN03USDT", "SYN17USDT"]),),
        symbols="24",
        expected=Expected(attempts=20),
        deadline_s=90.0,
    ),
    Scenario(
        "all names but one are refused",
        7,
        (subscribe("refused", symbols=["SYN01USDT", "SYN02USDT", "SYN03USDT"]),),
        symbols="4",
        expected=Expected(attempts=20),
        deadline_s=60.0,
    ),
    Scenario(
        "one name is never acknowledged",
        7,
        (subscribe("ignored", symbols=ONE),),
        deadline_s=120.0,
        expected=Expected(attempts=20),
    ),
    Scenario(
        "messages above 1,000 bytes are never acknowledged",
        7,
        (subscribe("too-long", count=1000),),
        symbols="90",
        deadline_s=120.0,
        expected=Expected(attempts=20),
    ),
    Scenario(
        "messages above 4,096 bytes are never acknowledged",
        7,
        (subscribe("too-long", count=4096),),
        symbols="400",
        speed=300,
        exchange={"push_interval_s": "1"},
        deadline_s=60.0,
    ),
    Scenario("acknowledgements are two seconds late", 7, (subscribe("slow", seconds=2),)),
    Scenario(
        "handshakes are refused for 3 s with Retry-After",
        7,
        (stream("drop", 2, for_s=0.2), stream("refusal", 2, for_s=3, status=429, value="4")),
        expected=BANNED,
    ),
    Scenario(
        "handshakes are banned for 5 s",
        7,
        (stream("drop", 2, for_s=0.2), stream("refusal", 2, for_s=5, status=418, value="5")),
        expected=BANNED,
    ),
    Scenario(
        "handshakes are forbidden for some seconds",
        7,
        (stream("drop", 2, for_s=0.2), stream("refusal", 2, for_s=4, status=403)),
    ),
    Scenario(
        "a handshake stalls",
        10,
        (stream("drop", 2, for_s=0.2), stream("stalled-handshake", 2, times=1)),
        deadline_s=30.0,
    ),
    Scenario(
        "every handshake stalls for some seconds",
        10,
        (stream("drop", 2, for_s=0.2), stream("stalled-handshake", 2, for_s=5)),
        deadline_s=40.0,
    ),
    Scenario("connections are silent", 10, (stream("silence", 3, for_s=9),), candles=30),
    Scenario(
        "a connection is shut down with notice", 10, (stream("shutdown", 3, for_s=0.3, seconds=1),)
    ),
    Scenario(
        "a shutdown comes every two seconds",
        10,
        tuple(stream("shutdown", at, for_s=0.3, seconds=0.5) for at in (3, 7, 11)),
        candles=18,
    ),
    Scenario(
        "500 frames cannot be read",
        10,
        (stream("garbage", 3, for_s=0.3, count=500),),
        expected=Expected(dead_letters=12),
        quick=True,
    ),
    Scenario(
        "frames of another kind arrive",
        10,
        (stream("garbage", 3, for_s=0.3, count=50, value='{"e":"trade","p":"1"}'),),
    ),
    Scenario(
        "frames are nested a hundred thousand levels deep",
        10,
        (stream("garbage", 3, for_s=0.3, count=3, value="[" * 100_000),),
        expected=Expected(dead_letters=12),
    ),
    Scenario(
        "frames have a number of 5,000 digits",
        10,
        (stream("garbage", 3, for_s=0.3, count=3, value='{"E":' + "9" * 5_000 + "}"),),
        expected=Expected(dead_letters=12),
    ),
    Scenario("a frame is larger than any of the exchange's", 10, (stream("large", 3, for_s=0.3),)),
    Scenario(
        "the connection is lost at each close",
        10,
        tuple(stream("drop", at - 0.1, for_s=0.2) for at in (3, 5, 7)),
        candles=16,
    ),
    Scenario(
        "1,024 symbols start with little weight",
        10,
        symbols="1024",
        candles=-1,
        speed=1,
        exchange={"push_interval_s": "5", "history": "40"},
        producer={"BACKFILL_CANDLES": "20", "STREAM_SILENCE_S": "30", "LISTING_REFRESH_S": "60"},
        expected=Expected(weight=2100),
        deadline_s=120.0,
    ),
    Scenario(
        "1,100 symbols are followed",
        10,
        symbols="1100",
        candles=6,
        speed=60,
        exchange={"push_interval_s": "2", "history": "20"},
        producer={"BACKFILL_CANDLES": "13", "CLOSE_GRACE_S": "3", "STREAM_SILENCE_S": "30"},
        deadline_s=120.0,
    ),
    Scenario(
        "rest refuses one symbol",
        10,
        ({"kind": "rest-refusal", "endpoint": "klines", "symbols": ONE, "status": 400},),
        expected=Expected(lagging=tuple(ONE)),
    ),
    Scenario(
        "the exchange is away while the producer starts",
        10,
        ({"kind": "rest-down", "for_s": 5}, {"kind": "stream-refusal", "for_s": 6, "status": 503}),
    ),
    Scenario(
        "the producer is killed again and again",
        10,
        (),
        actions=((3, "restart producer", ""), (9, "restart producer", "")),
        candles=20,
    ),
    Scenario(
        "the producer is killed while the exchange is away",
        10,
        away(3, 4),
        actions=((5, "restart producer", ""),),
        candles=20,
    ),
)
