"""Whether a candidate is promoted."""

from dataclasses import dataclass
from typing import Final

from services.trainer.settings import Policy
from shared.core.evaluation.skill_score import Skill

MAX_P_VALUE: Final = 0.1  # chance of taking a candidate that is no better than the version in use


@dataclass(frozen=True, slots=True)
class PromotionDecision:
    """Whether to promote, and why."""

    promote: bool
    reason: str


def decide_promotion(
    policy: Policy, over_zero: Skill | None, over_incumbent: Skill | None, *, has_incumbent: bool
) -> PromotionDecision:
    """Decide by the policy.

    Args:
        policy: always, never, or better: if nothing is promoted yet; else if the candidate's calibrated forecasts of
            the held-out candles are better than zero change, and than those of the version in use beyond chance.
        over_zero: the candidate's pooled skill against zero change; None if nothing was scored.
        over_incumbent: the same against the version in use, over the same candles.
        has_incumbent: whether a version is in use.
    """
    if policy != "better":
        return PromotionDecision(policy == "always", f"the policy is {policy}")
    if not has_incumbent:
        return PromotionDecision(True, "no version is in use yet")
    if over_zero is None:
        return PromotionDecision(False, "the candidate could not be scored")
    if over_zero.value <= 0.0:
        return PromotionDecision(
            False,
            f"its skill against zero change is {over_zero.value:+.4%}, which is not above zero",
        )
    if over_incumbent is None:
        return PromotionDecision(True, "the version in use could not be scored")
    better = over_incumbent.value > 0.0 and over_incumbent.p < MAX_P_VALUE
    return PromotionDecision(
        better,
        f"its skill against the version in use is {over_incumbent.value:+.4%} with p = {over_incumbent.p:.3g};"
        f" above zero with p below {MAX_P_VALUE} is asked for",
    )
