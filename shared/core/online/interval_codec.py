"""The state of a symbol's intervals as JSON fields."""

from typing import Any, Final

from shared.core.dataclass_fields import check_field, dataclass_fields, from_fields
from shared.core.model.interval_settings import MEANS
from shared.core.online.interval_scores import COVERAGES, IntervalScores
from shared.core.online.intervals import IntervalState
from shared.core.online.quantiles import LEVELS, Quantiles
from shared.core.online.volatility import Volatility

_QUANTILES: Final = ("quantiles", "constant", "exponential")
_COUNTS: Final = (MEANS, len(COVERAGES), len(COVERAGES))


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
        KeyError, TypeError, ValueError: a field is missing, unknown, or of another type or length.
    """
    state = IntervalState(
        from_fields(Volatility, fields["volatility"]),
        check_field("outcomes", fields["outcomes"], int),
        **{name: check_field(name, fields[name], Quantiles) for name in _QUANTILES},
        scores=from_fields(IntervalScores, fields["scores"]),
    )
    quantiles = (state.quantiles, state.constant, state.exponential)
    counts = (len(state.volatility.means), len(state.scores.covered), len(state.scores.width))
    if counts != _COUNTS or {len(each) for each in quantiles} != {len(LEVELS)}:
        raise ValueError("intervals with another number of means, quantiles or scores")
    return state
