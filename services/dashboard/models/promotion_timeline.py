"""Promotions and rollbacks in the order of time. PURE."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class DatedPromotion(NamedTuple):
    """A promotion and the time of the log when it was written, in ms."""

    version: str
    time_ms: int


def promotion_timeline(promotions: Iterable[DatedPromotion]) -> list[dict[str, Any]]:
    """Return what each promotion replaced, and whether it took back another one.

    Args:
        promotions: in the order of the log.
    """
    timeline: list[dict[str, Any]] = []
    before, previous = set[str](), None
    for version, time_ms in promotions:
        is_rollback = version in before and version != previous
        timeline.append(
            {
                "time_ms": time_ms,
                "version": version,
                "previous": previous,
                "kind": "rollback" if is_rollback else "promotion",
            }
        )
        before.add(version)
        previous = version
    return timeline


def champion_of(timeline: list[dict[str, Any]]) -> Mapping[str, Any] | None:
    """Return the champion and since when it is; None without a promotion.

    A version that is promoted again goes on being the champion.
    """
    champion: dict[str, Any] | None = None
    for one in timeline:
        if champion is None or champion["version"] != one["version"]:
            champion = {"version": one["version"], "since_ms": one["time_ms"]}
    return champion
