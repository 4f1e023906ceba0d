"""The state of a symbol's intervals as JSON fields."""

from typing import Any

from shared.core.dataclass_fields import dataclass_fields
from shared.core.online.interval_scores import IntervalScores
from shared.core.online.intervals import IntervalState
from shared.core.online.volatility import Volatility


def interval_fields(state: IntervalState) -> dict[str, Any]:
    """Return the fields of a state, ready for JSON."""
    return {
        **dataclass_fields(state),
        "volatility": dataclass_fields(state.volatility),
        "scores": dataclass_fields(state.scores),
    }


def interval_state(fields: dict[str, Any]) -> IntervalState:
    """Return the state of such fields, also when JSON has made lists of its tuples.

    Raises:
        KeyError, TypeError: a field is missing or unknown.
    """
    volatility, scores = fields["volatility"], fields["scores"]
    return IntervalState(
        Volatility(**{**volatility, "means": tuple(volatility["means"])}),
        fields["outcomes"],
        tuple(fields["quantiles"]),
        tuple(fields["constant"]),
        tuple(fields["exponential"]),
        IntervalScores(
            **{**scores, "covered": tuple(scores["covered"]), "width": tuple(scores["width"])}
        ),
    )
