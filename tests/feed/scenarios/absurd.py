"""Kinds 8 and 9, and the bans of kind 10: absurd answers, and permanent refusals."""

import time
from typing import Any, Final

from tests.feed.scenario import Expected, Scenario
from tests.feed.scenarios.common import answers, away, lost

HOUR_MS: Final = 3_600_000
BANNED: Final = Expected(refusals=8)


def retry_after(value: str, status: int = 429) -> tuple[dict[str, Any], ...]:
    """Return one refusal of the time, which nothing but the clock needs."""
    refused = {"endpoint": "time", "status": status, "value": value}
    return (answers("refusal", 2, times=1, **refused),)


def info(value: object) -> tuple[dict[str, Any], ...]:
    return ({"kind": "info-limits", "value": value},)


def every(kind: str, **more: Any) -> tuple[dict[str, Any], ...]:
    """Return the fault at every endpoint, at the start and while running."""
    return (
        answers(kind, times=3, **more), answers(kind, 3, for_s=2, **more), lost(3.5, 3)
    )  # fmt: skip


def clock_ahead(hours: float) -> dict[str, str]:
    """Return the setting of an exchange whose clock is ahead of the broker's."""
    now_ms = int(time.time() * 1000 + hours * HOUR_MS)
    return {"start_ms": str(now_ms // 300_000 * 300_000)}


SCENARIOS: Final = (
    Scenario("answers are nested a hundred thousand levels deep", 8, every("deep"), quick=True),
    Scenario("answers have a number of 5,000 digits", 8, every("long-number")),
    Scenario(
        "answers are 16 MB long",
        8,
        (answers("huge", times=2), answers("huge", 3, times=2), lost(3.5, 3)),
    ),
    Scenario("answers are pages of text", 8, every("text")),
    Scenario("answers are null", 8, every("answer", value=None)),
    Scenario("answers are a number", 8, every("answer", value=7)),
    Scenario("answers are an empty object", 8, every("answer", value={})),
    Scenario("answers are a list of numbers", 8, every("answer", value=[1, 2, 3])),
    Scenario(
        "answers are an error with status 200",
        8,
        every("answer", value={"code": -1000, "msg": "?"}),
    ),
    Scenario("refusals are a list", 8, every("refusal", status=400)),
    Scenario("Retry-After is three thousand years", 8, (*retry_after("99999999999"),)),
    Scenario("Retry-After is negative", 8, (*retry_after("-5"), lost(3.5, 2)), deadline_s=100.0),
    Scenario("Retry-After is no number", 8, (*retry_after("NaN"),)),
    Scenario("Retry-After is infinite", 8, (*retry_after("1e400"),)),
    Scenario("Retry-After is a date", 8, (*retry_after("Wed, 21 Oct 2015 07:28:00 GMT"),)),
    Scenario("rate limits are numbers", 8, (*info([1, 2]), *away(3, 1))),
    Scenario("rate limits are null", 8, (*info(None), *away(3, 1))),
    Scenario(
        "rate limits are zero",
        8,
        (
            *info(
                [
                    {
                        "rateLimitType": "REQUEST_WEIGHT",
                        "interval": "MINUTE",
                        "intervalNum": 0,
                        "limit": 0,
                    }
                ]
            ),
            *away(3, 1),
        ),
    ),
    Scenario(
        "rate limits are negative texts",
        8,
        (
            *info(
                [
                    {
                        "rateLimitType": "REQUEST_WEIGHT",
                        "interval": "MINUTE",
                        "intervalNum": "x",
                        "limit": "-1",
                    }
                ]
            ),
            *away(3, 1),
        ),
    ),
    Scenario(
        "the location is not served for some seconds",
        8,
        (answers("refusal", 3, status=451, for_s=3), lost(3.5, 2)),
    ),
    Scenario(
        "the servers fail for some seconds",
        8,
        (answers("refusal", 3, status=502, for_s=3), lost(3.5, 2)),
    ),
    Scenario(
        "the firewall blocks for some seconds",
        8,
        (answers("refusal", 3, status=403, for_s=3), lost(3.5, 2)),
    ),
    Scenario(
        "the exchange's clock is two hours ahead of the broker's",
        9,
        (),
        exchange=clock_ahead(2),
        quick=True,
    ),
    Scenario(
        "the exchange's clock is a year ahead of the broker's",
        9,
        (),
        exchange=clock_ahead(24 * 365),
    ),
    Scenario(
        "the exchange's clock is five years behind the broker's",
        9,
        (),
        exchange={"start_ms": "1735700400000"},
    ),
    Scenario(
        "a ban of 6 s",
        10,
        (answers("refusal", 3, status=418, value="6", for_s=6), lost(3.5, 2)),
        candles=20,
        expected=BANNED,
        quick=True,
    ),
    Scenario(
        "a ban outlives the producer",
        10,
        (answers("refusal", 3, status=418, value="10", for_s=10), lost(3.5, 2)),
        actions=((6, "restart producer", ""),),
        candles=30,
        expected=BANNED,
    ),
    Scenario(
        "too many requests for 4 s",
        10,
        (answers("refusal", 3, status=429, value="4", for_s=4), lost(3.5, 2)),
        candles=16,
        expected=BANNED,
    ),
)
