"""The sizes of a network and the shapes of its weights."""

from dataclasses import dataclass

import numpy as np

from shared.core.model.limits import check_range, reject_bundle


@dataclass(frozen=True, slots=True)
class Architecture:
    """LSTM layers of these widths, then Dense(1), over windows (window_length, features).

    A width is a layer's number of units. The limits are those of the kernel: widths that fill
    whole vectors, and scratch memory of a few MB.
    """

    widths: tuple[int, ...]
    window_length: int
    features: int

    def __post_init__(self) -> None:
        """Reject sizes that the kernel does not compute."""
        check_range("number of LSTM layers", len(self.widths), 1, 3)
        for width in self.widths:
            if width % 8 or not 8 <= width <= 128:
                reject_bundle("LSTM width", width, "a multiple of 8 from 8 to 128")
        check_range("window length", self.window_length, 16, 512)
        check_range("number of features", self.features, 1, 32)

    def shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of the weight arrays in Keras' order.

        >>> Architecture((32, 32), 288, 6).shapes()
        [(6, 128), (32, 128), (128,), (32, 128), (32, 128), (128,), (32, 1), (1,)]
        """
        shapes: list[tuple[int, ...]] = []
        inputs = self.features
        for width in self.widths:
            shapes += [(inputs, 4 * width), (width, 4 * width), (4 * width,)]
            inputs = width
        return [*shapes, (inputs, 1), (1,)]

    def weight_count(self) -> int:
        """Return the number of weights.

        >>> Architecture((32, 32), 288, 6).weight_count()
        13345
        """
        return sum(int(np.prod(shape)) for shape in self.shapes())
