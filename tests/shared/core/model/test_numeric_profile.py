"""A machine that computes other bits must not predict."""

import ctypes
import ctypes.util
import platform
from collections.abc import Iterator

import pytest

from shared.core.errors import Incompatible
from shared.core.model.numeric_profile import GOLDEN, PROFILE_VERSION, self_test


def test_this_machine_computes_the_golden_bits() -> None:
    assert self_test() == f"{PROFILE_VERSION}-{GOLDEN[:16]}"


@pytest.fixture
def flushed_to_zero() -> Iterator[None]:
    """What a library that was built with -ffast-math does when it is loaded."""
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    before = ctypes.create_string_buffer(32)
    assert library.fegetenv(before) == 0
    control = int.from_bytes(before.raw[28:], "little") | 0x8040
    assert (
        library.fesetenv(
            ctypes.create_string_buffer(before.raw[:28] + control.to_bytes(4, "little"), 32)
        )
        == 0
    )
    yield
    library.fesetenv(before)


@pytest.mark.skipif(
    platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc", reason="its registers"
)
@pytest.mark.usefixtures("flushed_to_zero")
def test_a_processor_that_flushes_denormals_to_zero_fails_the_self_test() -> None:
    with pytest.raises(Incompatible, match="take numbers below 1e-38 for zero"):
        self_test()
