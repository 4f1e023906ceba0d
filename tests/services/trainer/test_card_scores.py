"""What a card says about the comparison that its promotion was decided from."""

import numpy as np
import pytest

from services.trainer.card_scores import card_scores
from services.trainer.evaluate import Evaluation
from services.trainer.promotion_policy import PromotionDecision
from shared.adapters.schemas.wire import canonical_json
from shared.core.evaluation.comparison import CHALLENGER, CHAMPION, Comparison
from shared.core.evaluation.forecasts import ForecastSeries
from tests.support.builders import START_MS, STEP_MS, a_bundle, a_comparison, some_forecasts

DECISION = PromotionDecision(False, "its skill against zero change is -1 %, not above zero")


def evaluation_of(comparison: Comparison) -> Evaluation:
    return Evaluation(a_bundle(), None, comparison, None)


def test_the_decision_and_the_candles_it_was_made_from_are_in_the_scores() -> None:
    scores = card_scores(evaluation_of(a_comparison()), DECISION)

    assert scores["decision"] == {"promote": False, "reason": DECISION.reason}
    assert scores["span"] == {
        "from_ms": START_MS,
        "through_ms": START_MS + 399 * STEP_MS,
        "candles": 400,
        "symbols": 3,
    }


def test_the_last_of_the_running_skills_is_the_skill() -> None:
    comparison = a_comparison()
    comparison.add(CHAMPION, some_forecasts(), raw=True)

    scores = card_scores(evaluation_of(comparison), DECISION)

    running = scores["running"]
    assert running["open_time_ms"][-1] == START_MS + 399 * STEP_MS
    assert len(running["open_time_ms"]) == 200
    for name in (CHALLENGER, CHAMPION):
        skill = comparison.skill(name)
        assert skill is not None
        assert running[name][-1] == pytest.approx(skill.value)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_scores_of_candles_that_did_not_move_can_be_published(count: int) -> None:
    zeros = np.zeros(count)
    times = START_MS + STEP_MS * np.arange(count, dtype=np.float64)
    series = {"BTCUSDT": ForecastSeries(times, zeros, zeros, zeros)}
    comparison = a_comparison(series)

    scores = card_scores(evaluation_of(comparison), DECISION)

    assert scores["running"] is None
    canonical_json(scores)
