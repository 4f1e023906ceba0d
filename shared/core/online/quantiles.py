"""Track the quantiles of a stream of outcomes, whatever they are distributed like."""

from math import sqrt
from typing import Final

Quantiles = tuple[float, ...]
"""Values at LEVELS. As tracked, they may cross for a while; `order` uncrosses them."""

LEVELS: Final = (0.025, 0.05, 0.1, 0.25, 0.75, 0.9, 0.95, 0.975)

_STEP: Final = 1.0  # steps are _STEP / sqrt(outcomes + _OFFSET), and at least _LEAST_STEP
_OFFSET: Final = 100.0
_LEAST_STEP: Final = 0.015
# Outcomes are rarer in the tails, and their quantiles differ more from symbol to symbol.
_FAR_FACTOR: Final = 2.0  # of the steps at 2.5 and 97.5 %
_TAIL_FACTOR: Final = 1.5  # at 5 and 95 %
_NEAR_FACTOR: Final = 1.2  # at 10, 25, 75 and 90 %


def step_size(outcomes: int) -> float:
    """Return the step after so many outcomes: decaying, so that quantiles settle, yet not to 0.

    >>> step_size(0), step_size(10**6)
    (0.1, 0.015)
    """
    return max(_STEP / sqrt(outcomes + _OFFSET), _LEAST_STEP)


def order(quantiles: Quantiles) -> Quantiles:
    """Return quantiles in a rising order: intervals that hold each other.

    An inner interval that has turned inside out is its middle; an outer one holds the inner one.

    >>> order((-3.0, -2.0, 0.5, 0.25, 0.0, 1.0, 0.75, 2.0))
    (-3.0, -2.0, 0.125, 0.125, 0.125, 1.0, 1.0, 2.0)
    """
    q025, q05, q10, q25, q75, q90, q95, q975 = quantiles
    if q025 <= q05 <= q10 <= q25 <= q75 <= q90 <= q95 <= q975:
        return quantiles
    if q25 > q75:
        q25 = q75 = 0.5 * (q25 + q75)
    q10, q90 = min(q10, q25), max(q90, q75)
    q05, q95 = min(q05, q10), max(q95, q90)
    return min(q025, q05), q05, q10, q25, q75, q90, q95, max(q975, q95)


def track(quantiles: Quantiles, ordered: Quantiles, outcome: float, step: float) -> Quantiles:
    """Return the quantiles after an outcome: one subgradient step of the pinball loss each.

    The sum of the steps is bounded by how far a quantile can go, so the share of outcomes beyond it
    tends to its level in any stream (online conformal prediction: Gibbs and Candes 2021; with
    decaying steps: Angelopoulos, Barber and Bates 2024). An outcome counts by its side alone: its
    size can do no harm.

    Args:
        quantiles: as tracked.
        ordered: the same by `order`: what was published, so that its misses are the ones counted.
        outcome: in the unit of the quantiles. One that equals a bound is inside.
        step: by `step_size`.
    """
    # Unrolled: a third of the time of a comprehension.
    q025, q05, q10, q25, q75, q90, q95, q975 = quantiles
    b025, b05, b10, b25, b75, b90, b95, b975 = ordered
    far, tail, near = step * _FAR_FACTOR, step * _TAIL_FACTOR, step * _NEAR_FACTOR
    return (
        q025 + far * (0.025 - (outcome < b025)),
        q05 + tail * (0.05 - (outcome < b05)),
        q10 + near * (0.1 - (outcome < b10)),
        q25 + near * (0.25 - (outcome < b25)),
        q75 + near * (0.75 - (outcome <= b75)),
        q90 + near * (0.9 - (outcome <= b90)),
        q95 + tail * (0.95 - (outcome <= b95)),
        q975 + far * (0.975 - (outcome <= b975)),
    )


def pinball_loss(quantiles: Quantiles, outcome: float) -> float:
    """Return the mean pinball loss of the eight quantiles (Koenker and Bassett 1978).

    >>> pinball_loss((0.0,) * 8, 1.0)
    0.5
    """
    loss = 0.0
    for level, quantile in zip(LEVELS, quantiles, strict=True):
        error = outcome - quantile
        loss += level * error if error >= 0.0 else (level - 1.0) * error
    return loss / 8.0
