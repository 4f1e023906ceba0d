"""Figures out of a card's scores. PURE.

Scores are free-form JSON, which a foreign program may have written: whatever has another shape
than the trainer's is not known.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

_SKILL: Final = ("value", "low", "high", "p", "n")


def skill_of(
    scores: Mapping[str, Any], forecast: str, field: str = "skill"
) -> dict[str, float] | None:
    """Return a skill of a card's scores, with its interval; None if it is not there."""
    skill = as_mapping(as_mapping(as_mapping(scores.get("forecasts")).get(forecast)).get(field))
    numbers = {name: float(skill[name]) for name in _SKILL if is_number(skill.get(name))}
    return numbers if len(numbers) == len(_SKILL) else None


def decision_of(scores: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the trainer decided about the version, and why; None if it is not there."""
    decision = as_mapping(scores.get("decision"))
    promoted, reason = decision.get("promote"), decision.get("reason")
    if not isinstance(promoted, bool) or not isinstance(reason, str):
        return None
    return {"promoted": promoted, "reason": reason}


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping as it is, anything else as an empty one."""
    return value if isinstance(value, Mapping) else {}


def is_number(value: object) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
