"""Min-max scaling of features, as scikit-learn's MinMaxScaler does it."""

from dataclasses import dataclass

import numpy as np

from shared.core.arrays import Float32s, Float64s


@dataclass(frozen=True, slots=True)
class Scaler:
    """Scale and offset of each column: scaled = value * scale + offset."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def apply(self, rows: Float64s) -> Float32s:
        """Scale rows (n, features); return float32."""
        scaled: Float64s = rows * np.array(self.scale) + np.array(self.offset)
        return scaled.astype(np.float32)


def fit_min_max_scaler(rows: Float64s) -> Scaler:
    """Fit a scaler that maps each column of rows (n, features) to [0, 1].

    The result is that of sklearn.preprocessing.MinMaxScaler; a constant column has scale 1.

    >>> fit_min_max_scaler(np.array([[1.0, 5.0], [3.0, 5.0]]))
    Scaler(scale=(0.5, 1.0), offset=(-0.5, -5.0))
    """
    return scaler_from_ranges(rows.min(axis=0), rows.max(axis=0))


def scaler_from_ranges(low: Float64s, high: Float64s) -> Scaler:
    """Return the scaler that maps each column's range, low to high (features,), to [0, 1]."""
    span = high - low
    # As sklearn: a span below ten units of rounding counts as constant.
    span[span < 10 * np.finfo(np.float64).eps] = 1.0
    scale = 1.0 / span
    return Scaler(tuple(map(float, scale)), tuple(map(float, 0.0 - low * scale)))
