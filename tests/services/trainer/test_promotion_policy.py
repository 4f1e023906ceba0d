"""The policy decides whether a challenger is promoted."""

import pytest

from services.trainer.promotion_policy import decide_promotion
from services.trainer.settings import Policy
from shared.core.evaluation.skill_score import Skill


def a_skill(value: float, p: float) -> Skill:
    return Skill(value, value - 0.1, value + 0.1, p, 100)


GOOD, LUCKY, BAD = a_skill(0.002, 0.001), a_skill(0.002, 0.4), a_skill(-0.002, 0.9)


@pytest.mark.parametrize(
    ("policy", "over_zero", "over_champion", "has_champion", "promoted"),
    [
        ("better", GOOD, GOOD, True, True),
        ("better", GOOD, LUCKY, True, False),
        ("better", GOOD, BAD, True, False),
        ("better", BAD, GOOD, True, False),
        ("better", BAD, None, False, True),
        ("better", None, None, False, True),
        ("better", None, GOOD, True, False),
        ("better", GOOD, None, True, True),
        ("better", None, None, True, False),
        ("always", BAD, BAD, True, True),
        ("never", GOOD, GOOD, False, False),
    ],
)
def test_the_policy_decides(
    policy: Policy,
    over_zero: Skill | None,
    over_champion: Skill | None,
    has_champion: bool,
    promoted: bool,
) -> None:
    decision = decide_promotion(policy, over_zero, over_champion, has_champion=has_champion)

    assert decision.promote is promoted
    assert decision.reason
