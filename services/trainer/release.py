"""Whether a candidate is promoted."""

from dataclasses import dataclass

from services.trainer.settings import Policy


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to promote, and why."""

    promote: bool
    reason: str


def judge(policy: Policy, candidate: float | None, incumbent: float | None, *, has_incumbent: bool) -> Verdict:
    """Decide by the policy.

    Args:
        policy: always, never, or better: if nothing is promoted yet, or the candidate's error is the lower.
        candidate: squared error relative to zero change, a mean over symbols; None if nothing was scored.
        incumbent: the same of the version in use, over the same candles.
        has_incumbent: whether a version is in use.
    """
    if policy != "better":
        return Verdict(policy == "always", f"the policy is {policy}")
    if not has_incumbent:
        return Verdict(True, "no version is in use yet")
    if incumbent is None:
        return Verdict(candidate is not None, "the version in use could not be scored")
    if candidate is None:
        return Verdict(False, "the candidate could not be scored")
    comparison = "below" if candidate < incumbent else "not below"
    return Verdict(
        candidate < incumbent,
        f"its error {candidate:.6f} is {comparison} the {incumbent:.6f} of the version in use",
    )
