"""Fit the settings of the intervals to many symbols at once."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from shared.core.arrays import Float64s
from shared.core.model.interval_settings import HOURS, MEANS, PARTS_OF_AN_HOUR, IntervalSettings
from shared.core.online.quantiles import LEVELS
from shared.core.online.volatility import activity, change_of, fold_candle, start_volatility
from shared.core.sequence import CLOSE, HIGH, LOW, OPEN_TIME

_MAX_CANDLES: Final = 1_000_000  # of all symbols, the newest of each: seconds of folding
_LEAST_OUTCOMES: Final = 2_000  # fewer fit nothing but the size of a change
_WARM_UP: Final = 300  # candles until a symbol's means are its own
_LARGEST_RATIO: Final = 12.0  # of an outcome to its forecast: one candle never decides
_LEAST_RATIO: Final = 0.1  # of a forecast to the mean of a symbol
_PROFILE_SHRINKAGE: Final = 0.75  # of the profile of the day towards none; chosen on March 2025
_ROUNDS: Final = 10
_RIDGE: Final = 1e-3  # towards the default weights, for candles that say nothing
_MS_PER_DAY: Final = 86_400_000
_MS_PER_MINUTE: Final = 60_000


def fit_intervals(sequences: Mapping[str, Float64s], step_ms: int) -> IntervalSettings:
    """Return the settings that suit the symbols of a training span best.

    The same candles give the same settings. Each symbol is measured in its own units, and an
    outcome counts as at most 12 forecasts, so neither one symbol nor one candle decides.

    Args:
        sequences: candles (n, columns) by symbol, of the training span alone.
        step_ms: the interval.
    """
    candles = [sequence for _, sequence in sorted(sequences.items()) if len(sequence) > 1]
    if sum(map(len, candles)) < _LEAST_OUTCOMES:
        return _fit_sizes(candles)
    settings = _fit_profile(candles, _fit_sizes(candles))
    newest = _MAX_CANDLES // len(candles)
    tables = [_outcomes(sequence[-newest:], step_ms, settings) for sequence in candles]
    table = np.concatenate([table for table in tables if len(table)])
    means, changes = table[:, :MEANS], table[:, MEANS]
    weights = _fit_weights(means, np.abs(changes))
    forecasts = means @ weights
    quantiles = np.quantile(changes / np.maximum(forecasts, 1e-6), LEVELS)
    return replace(settings, weights=_rounded(weights), quantiles=_rounded(quantiles))


def _fit_sizes(candles: list[Float64s]) -> IntervalSettings:
    """Return default settings with the median symbol's change and true range."""
    if not candles:
        return IntervalSettings()
    sizes = [
        [_typical(np.abs(_changes(sequence))), _typical(_true_ranges(sequence))]
        for sequence in candles
    ]
    change, true_range = np.clip(np.median(sizes, axis=0), 1e-6, 1.0).tolist()
    return IntervalSettings(change=change, true_range=true_range)


def _fit_profile(candles: list[Float64s], settings: IntervalSettings) -> IntervalSettings:
    """Return the settings with how active the market is by hour and by five minutes of the hour."""
    hours = np.zeros((2, HOURS))
    parts = np.zeros((2, PARTS_OF_AN_HOUR))
    ratios = [_daily_ratios(sequence) for sequence in candles]
    minutes = [sequence[1:, OPEN_TIME] // _MS_PER_MINUTE % 1440 for sequence in candles]
    for ratio, minute in zip(ratios, minutes, strict=True):
        hours += _sums((minute // 60).astype(int), ratio, HOURS)
    by_hour = _relative(hours)
    for ratio, minute in zip(ratios, minutes, strict=True):
        part = (minute % 60 // 5).astype(int)
        parts += _sums(part, ratio / by_hour[(minute // 60).astype(int)], PARTS_OF_AN_HOUR)
    return replace(
        settings,
        hours=_rounded(1.0 + _PROFILE_SHRINKAGE * (by_hour - 1.0)),
        parts_of_an_hour=_rounded(1.0 + _PROFILE_SHRINKAGE * (_relative(parts) - 1.0)),
    )


def _outcomes(sequence: Float64s, step_ms: int, settings: IntervalSettings) -> Float64s:
    """Return the inputs of each forecast and the change that it is of: (n, 6).

    The fold itself gives the inputs, so they are what the fold will see.
    """
    volatility, rows = start_volatility(settings), []
    for candle in sequence[:, : CLOSE + 1].tolist():
        change = change_of(volatility, candle, step_ms)
        if change is not None and volatility.candles > min(_WARM_UP, len(sequence) // 10):
            factor = activity(int(candle[OPEN_TIME]), settings)
            rows.append([*(factor * mean for mean in volatility.means), change])
        volatility = fold_candle(volatility, candle, step_ms, settings)
    return np.array(rows).reshape(-1, MEANS + 1)


def _fit_weights(means: Float64s, changes: Float64s) -> Float64s:
    """Return weights >= 0 of the means, by the quasi-likelihood of a scale.

    That is a generalised linear model with the variance proportional to the mean's square and the
    identity as its link (McCullagh and Nelder 1989), by iteratively reweighted least squares: an
    outcome is measured in its own forecast, so all symbols count alike.

    Args:
        means: inputs (n, 5).
        changes: absolute changes (n,).
    """
    slowest = np.maximum(means[:, -1], 1e-6)
    inputs, ratios = means / slowest[:, None], np.minimum(changes / slowest, _LARGEST_RATIO)
    prior, precision = np.array(IntervalSettings().weights), _RIDGE * len(ratios)
    forecasts, weights = np.ones(len(ratios)), prior
    for _ in range(_ROUNDS):
        scaled = inputs / forecasts[:, None]
        gram = scaled.T @ scaled + precision * np.eye(MEANS)
        products = scaled.T @ (ratios / forecasts) + precision * prior
        weights = _solve_non_negative(gram, products)
        forecasts = np.maximum(inputs @ weights, _LEAST_RATIO)
    return weights


def _solve_non_negative(gram: Float64s, products: Float64s) -> Float64s:
    """Return the least squares without the inputs whose weights would be negative."""
    kept = np.ones(len(products), dtype=bool)
    weights = np.zeros(len(products))
    while kept.any():
        weights[:] = 0.0
        weights[kept] = np.linalg.solve(gram[np.ix_(kept, kept)], products[kept])
        if weights.min() >= 0.0:
            break
        kept[np.argmin(weights)] = False
    return weights


def _changes(sequence: Float64s) -> Float64s:
    """Return the changes from candle to candle (n - 1,); gaps are too few to matter here."""
    changes: Float64s = sequence[1:, CLOSE] / sequence[:-1, CLOSE] - 1.0
    return changes


def _true_ranges(sequence: Float64s) -> Float64s:
    before = sequence[:-1, CLOSE]
    highest = np.maximum(sequence[1:, HIGH], before)
    ranges: Float64s = (highest - np.minimum(sequence[1:, LOW], before)) / before
    return ranges


def _typical(values: Float64s) -> float:
    """Return a mean that no outlier moves far: values count as at most four 90 % quantiles."""
    return float(np.minimum(values, 4.0 * np.quantile(values, 0.9)).mean())


def _daily_ratios(sequence: Float64s) -> Float64s:
    """Return each true range in typical ranges of its UTC day (n - 1,), at most 6."""
    ranges = _true_ranges(sequence)
    ranges = np.minimum(ranges, 4.0 * np.quantile(ranges, 0.9))
    days = (sequence[1:, OPEN_TIME] // _MS_PER_DAY).astype(int)
    days -= days.min()
    counts = np.bincount(days)
    means = np.bincount(days, weights=ranges) / np.maximum(counts, 1)
    ratios: Float64s = np.minimum(ranges / np.maximum(means[days], 1e-9), 6.0)
    return ratios


def _sums(slots: np.ndarray, values: Float64s, size: int) -> Float64s:
    """Return the sum and the count of values in each slot (2, size)."""
    return np.stack([np.bincount(slots, values, size), np.bincount(slots, minlength=size)])


def _relative(sums: Float64s) -> Float64s:
    """Return the mean of each slot over that of all; 1 where there is none."""
    total, count = sums
    overall = max(total.sum(), 1e-12) / max(count.sum(), 1.0)
    means = np.where(count > 0, total / np.maximum(count, 1.0) / overall, 1.0)
    clipped: Float64s = np.clip(means, 0.1, 10.0)
    return clipped


def _rounded(values: Float64s) -> tuple[float, ...]:
    """Return values as the card keeps them."""
    return tuple(round(float(value), 4) for value in np.clip(values, -1e3, 1e3))
