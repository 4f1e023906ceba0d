"""A card's scores: what was measured on the held-out candles, and what was decided."""

from dataclasses import asdict
from typing import Any, Final

import numpy as np

from services.trainer.evaluate import Evaluation
from services.trainer.promotion_policy import PromotionDecision
from shared.core.evaluation.comparison import CHALLENGER, CHAMPION, Comparison

_RUNNING_POINTS: Final = 200


def card_scores(evaluation: Evaluation, decision: PromotionDecision) -> dict[str, Any]:
    """Return the scores of a challenger's card as plain values."""
    comparison, intervals = evaluation.comparison, evaluation.intervals
    return {
        "forecasts": comparison.to_fields(),
        "net_returns": {
            name: [asdict(one) for one in rows] for name, rows in evaluation.net_returns.items()
        },
        "intervals": intervals and intervals.to_fields(),
        "decision": asdict(decision),
        "span": _describe_span(comparison),
        "running": _running_skills(comparison),
    }


def _describe_span(comparison: Comparison) -> dict[str, int] | None:
    """Return the open times compared, how many, and the number of symbols; None without any."""
    moments = comparison.moments
    if not len(moments):
        return None
    return {
        "from_ms": int(moments[0]),
        "through_ms": int(moments[-1]),
        "candles": len(moments),
        "symbols": len(comparison.symbols),
    }


def _running_skills(comparison: Comparison) -> dict[str, list[float]] | None:
    """Return how the skill against zero change came about, at evenly chosen moments.

    The last value is the skill. None where nothing moved.
    """
    if comparison.skill(CHALLENGER) is None:
        return None
    count = len(comparison.moments)
    rows = np.unique(np.linspace(0, count - 1, min(count, _RUNNING_POINTS)).astype(np.int64))
    times = comparison.moments[rows].astype(np.int64).tolist()
    names = [name for name in (CHALLENGER, CHAMPION) if name in comparison.names]
    skills = {str(name): comparison.cumulative_skill(name)[rows].tolist() for name in names}
    return {"open_time_ms": times, **skills}
