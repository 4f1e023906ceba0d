"""Decides whether a challenger is promoted."""

from dataclasses import dataclass
from typing import Final

from services.trainer.settings import Policy
from shared.core.evaluation.skill_score import Skill

# The chance to promote a challenger that is no better than the champion.
MAX_P_VALUE: Final = 0.1


@dataclass(frozen=True, slots=True)
class PromotionDecision:
    """Whether to promote, and why."""

    promote: bool
    reason: str

    @property
    def outcome(self) -> str:
        """The decision in words."""
        return "published and promoted" if self.promote else "published, not promoted"


def decide_promotion(
    policy: Policy, over_zero: Skill | None, over_champion: Skill | None, *, has_champion: bool
) -> PromotionDecision:
    """Decide by the policy.

    Args:
        policy: `always`, `never`, or `better`: if there is no champion; else if the challenger's
            calibrated forecasts of the held-out candles are better than zero change, and better
            than the champion's beyond chance.
        over_zero: the challenger's pooled skill against zero change; None if nothing was scored.
        over_champion: the same against the champion, over the same candles.
        has_champion: whether a version is promoted.
    """
    if policy != "better":
        return PromotionDecision(policy == "always", f"the policy is {policy}")
    if not has_champion:
        return PromotionDecision(True, "there is no champion yet")
    if over_zero is None:
        return PromotionDecision(False, "the challenger could not be scored")
    if over_zero.value <= 0.0:
        reason = f"its skill against zero change is {over_zero.value:+.4%}, not above zero"
        return PromotionDecision(False, reason)
    if over_champion is None:
        return PromotionDecision(True, "the champion could not be scored")
    is_better = over_champion.value > 0.0 and over_champion.p < MAX_P_VALUE
    reason = (
        f"its skill against the champion is {over_champion.value:+.4%}"
        f" with p = {over_champion.p:.3g}; needed: above zero with p below {MAX_P_VALUE}"
    )
    return PromotionDecision(is_better, reason)
