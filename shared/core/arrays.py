"""Array types by what they hold."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Float32s: TypeAlias = NDArray[np.float32]
Float64s: TypeAlias = NDArray[np.float64]


def read_only32(values: Float32s) -> Float32s:
    """Make an array read-only: a state that others hold must not change."""
    values.flags.writeable = False
    return values


def read_only64(values: Float64s) -> Float64s:
    """Make an array read-only: a state that others hold must not change."""
    values.flags.writeable = False
    return values
