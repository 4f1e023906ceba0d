"""Faults that many scenarios share."""

from typing import Any, Final

from tests.feed.scenario import MANY, Expected

ONE: Final = ["SYN01USDT"]
FILLED: Final = Expected(fills=(1, MANY))
AMENDED: Final = Expected(amendments=(1, MANY))
LETTERS: Final = Expected(dead_letters=30)


def lost(at: float, candles: float, **more: Any) -> dict[str, Any]:
    """Return a fault that makes the producer ask REST for candles."""
    return {"kind": "kline-lost", "at": at, "for_candles": candles, **more}


def rows(kind: str, at: float | None, for_s: float, **more: Any) -> dict[str, Any]:
    """Return a fault in the rows of REST."""
    return {"kind": f"rows-{kind}", "at": at, "for_s": for_s, **more}


def answers(kind: str, at: float | None = None, **more: Any) -> dict[str, Any]:
    """Return a fault in the answers of REST."""
    return {"kind": f"rest-{kind}", "at": at, **more}


def away(at: float, for_s: float) -> tuple[dict[str, Any], ...]:
    """Return the faults of an exchange that cannot be reached for a while."""
    return (
        {"kind": "stream-drop", "at": at, "for_s": 0.3},
        {"kind": "stream-refusal", "at": at, "for_s": for_s, "status": 503},
        {"kind": "rest-down", "at": at, "for_s": for_s},
    )
