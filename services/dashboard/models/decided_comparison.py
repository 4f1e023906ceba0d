"""A challenger beside the champion of its time, on the same held-out candles. PURE."""

from collections.abc import Mapping
from typing import Any, Final

from services.dashboard.models.card_scores import as_mapping, decision_of, is_number, skill_of
from shared.core.evaluation.comparison import CHALLENGER, CHAMPION

_SPAN: Final = ("from_ms", "through_ms", "candles", "symbols")


def decided_comparison(
    version: str, champion: str | None, scores: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the figures that a version's decision was made from; None without a decision.

    Args:
        version: the challenger.
        champion: the champion when it was made.
        scores: of the challenger's card.
    """
    decision = decision_of(scores)
    if decision is None:
        return None
    return {
        "challenger": version,
        "champion": champion,
        **_span_of(scores),
        "skill_challenger": skill_of(scores, CHALLENGER),
        "skill_champion": skill_of(scores, CHAMPION),
        "over_champion": skill_of(scores, CHAMPION, "challenger_against"),
        "decision": decision,
        "running": _running(scores),
    }


def _span_of(scores: Mapping[str, Any]) -> dict[str, Any]:
    span = as_mapping(scores.get("span"))
    return {name: span[name] if is_number(span.get(name)) else None for name in _SPAN}


def _running(scores: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the skill of both up to each moment; None if the card has none."""
    running = as_mapping(scores.get("running"))
    times = _numbers(running.get("open_time_ms"))
    columns = {name: _numbers(running.get(name)) for name in (CHAMPION, CHALLENGER)}
    columns = {name: values for name, values in columns.items() if len(values) == len(times)}
    return {"open_time_ms": times, **columns} if times and CHALLENGER in columns else None


def _numbers(value: object) -> list[Any]:
    """Return a list of numbers as it is, anything else as an empty one."""
    return value if isinstance(value, list) and all(map(is_number, value)) else []
