import pytest

from shared.core.errors import BadInput
from shared.core.model.architecture import Architecture


@pytest.mark.parametrize(
    ("widths", "window", "features"),
    [
        ((), 20, 6),
        ((8, 8, 8, 8), 20, 6),
        ((12,), 20, 6),
        ((136,), 20, 6),
        ((8,), 8, 6),
        ((8,), 513, 6),
        ((8,), 20, 33),
    ],
)
def test_an_architecture_that_the_kernel_does_not_compute_is_rejected(
    widths: tuple[int, ...], window: int, features: int
) -> None:
    with pytest.raises(BadInput, match="allowed"):
        Architecture(widths, window, features)
