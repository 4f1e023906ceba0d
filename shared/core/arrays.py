"""Array types by their numbers."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Float32s: TypeAlias = NDArray[np.float32]
Float64s: TypeAlias = NDArray[np.float64]


def read_only32(values: Float32s) -> Float32s:
    """Make an array read-only and return it: states share arrays, so none may change."""
    values.flags.writeable = False
    return values


def read_only64(values: Float64s) -> Float64s:
    """Make an array read-only and return it: states share arrays, so none may change."""
    values.flags.writeable = False
    return values
