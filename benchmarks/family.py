"""One p-value for a family of comparisons: whether any of many forecasts beats the default."""

from math import log, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.core.arrays import Float64s

SAMPLES: Final = 2000  # of the bootstrap
SEED: Final = 1


def superior_ability_p(gains: Float64s, samples: int = SAMPLES, seed: int = SEED) -> float | None:
    """Test whether the best of several forecasts is better than the benchmark beyond chance.

    Hansen's test for superior predictive ability (2005), the consistent version: the largest
    studentised mean gain is held against its distribution under "none is better", by the
    stationary bootstrap of Politis and Romano (1994) with blocks of the cube root of the length on
    average. Forecasts that are clearly worse than the benchmark do not count against the others.
    The library `arch` has the test without studentising, and brings pandas and statsmodels.

    Args:
        gains: the benchmark's errors less each forecast's (moments, forecasts).
        samples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        None if there is nothing to compare.
    """
    n = len(gains)
    differing = gains[:, gains.any(axis=0)]
    if n < 2 or not differing.size:
        return None
    restart = min(1.0, n ** (-1 / 3))
    means = differing.mean(axis=0)
    errors = _standard_errors(differing, restart)
    largest = max(0.0, float((means / errors).max()))
    # Only forecasts that are not clearly worse are taken to be as good as the benchmark.
    centres = np.where(means >= -errors * sqrt(2.0 * log(log(max(n, 16)))), means, 0.0)
    random = np.random.default_rng(seed)
    drawn = np.array(
        [differing[_stationary_sample(n, restart, random)].mean(axis=0) for _ in range(samples)]
    )
    maxima = np.maximum(0.0, ((drawn - centres) / errors).max(axis=1))
    return float((maxima >= largest).mean())


def _stationary_sample(n: int, restart: float, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw n moments in blocks of random length, which start anew with this probability."""
    starts = random.random(n) < restart
    starts[0] = True
    firsts = random.integers(n, size=n)
    block = np.maximum.accumulate(np.where(starts, np.arange(n), 0))
    sample: NDArray[np.int64] = (firsts[block] + np.arange(n) - block) % n
    return sample


def _standard_errors(gains: Float64s, restart: float) -> Float64s:
    """Estimate the standard error of each mean, as the stationary bootstrap has it in the limit."""
    n = len(gains)
    centred = gains - gains.mean(axis=0)
    variance = (centred**2).mean(axis=0)
    for lag in range(1, min(n, int(12 / restart))):
        kept = (1.0 - restart) ** lag
        weight = (n - lag) / n * kept + lag / n * (1.0 - restart) ** (n - lag)
        variance += 2.0 * weight * (centred[lag:] * centred[:-lag]).sum(axis=0) / n
    errors: Float64s = np.sqrt(np.maximum(variance, 1e-300) / n)
    return errors
