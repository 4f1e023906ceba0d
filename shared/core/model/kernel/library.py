"""Python's side of the compiled kernel: its functions and structures, as kernel.h declares them."""

import ctypes
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from shared.core.arrays import Float32s, Float64s
from shared.core.errors import Incompatible

_LIBRARY: Final = Path(__file__).parent / "_kernel.so"
_FLOAT32: Final = np.dtype(np.float32)


class KernelShape(ctypes.Structure):
    """`kernel_shape` in kernel.h: the sizes of a network."""

    _fields_ = (
        ("window", ctypes.c_int),
        ("features", ctypes.c_int),
        ("layers", ctypes.c_int),
        ("width", ctypes.c_int * 3),
    )


class KernelAdamRates(ctypes.Structure):
    """`kernel_adam_rates` in kernel.h: the numbers of one Adam step."""

    _fields_ = tuple(
        (name, ctypes.c_float)
        for name in ("factor", "alpha", "one_minus_beta_1", "one_minus_beta_2", "epsilon")
    )


class KernelBatch(ctypes.Structure):
    """`kernel_batch` in kernel.h: windows, their labels and the loss."""

    _fields_ = (
        ("n", ctypes.c_long),
        ("huber_delta", ctypes.c_float),
        ("windows", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
    )


class KernelObservation(ctypes.Structure):
    """`kernel_observation` in kernel.h: one observation of a linear regression."""

    _fields_ = (
        ("n", ctypes.c_int),
        ("forgetting", ctypes.c_double),
        ("label", ctypes.c_double),
        ("largest_error", ctypes.c_double),
        ("inputs", ctypes.c_void_p),
    )


@lru_cache(maxsize=8)
def load_kernel(path: Path = _LIBRARY) -> ctypes.CDLL:
    """Load the compiled kernel.

    Raises:
        Incompatible: the library is missing, does not load, or lacks a function.
    """
    try:
        return _declare(ctypes.CDLL(str(path)))
    except (OSError, AttributeError) as error:
        raise Incompatible(
            f"the kernel {path} does not load ({error}); run `make install`, which compiles it"
        ) from error


def variant_name(library: ctypes.CDLL | None = None) -> str:
    """Return the vector width that the kernel chose for this processor: plain, v3 or v4."""
    name: bytes = (library or load_kernel()).kernel_variant_name()
    return name.decode()


def address(array: Float32s | Float64s) -> int:
    """Return the address of an array's first number."""
    if array.size and array.flags.writeable:
        return ctypes.addressof(
            ctypes.c_char.from_buffer(array.data)
        )  # a third of the other's time
    return array.ctypes.data


def check_floats(*arrays: Float32s) -> None:
    """Check that C may read the arrays as `float *`.

    Raises:
        ValueError: an array is not float32 or not contiguous.
    """
    for array in arrays:
        if array.dtype != _FLOAT32 or not array.flags.c_contiguous:
            message = f"the kernel takes contiguous float32, not {array.dtype} {array.strides}"
            raise ValueError(message)


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """Declare the argument and result types of the kernel's functions."""
    pointer, shape = ctypes.c_void_p, ctypes.POINTER(KernelShape)
    batch, rates = ctypes.POINTER(KernelBatch), ctypes.POINTER(KernelAdamRates)
    observation = ctypes.POINTER(KernelObservation)
    signatures = {
        "kernel_variant_name": (ctypes.c_char_p, []),
        "kernel_scratch_floats": (ctypes.c_long, [shape]),
        "kernel_forward": (ctypes.c_float, [shape, pointer, pointer, pointer]),
        "kernel_jacobian": (None, [shape, pointer, pointer, pointer, pointer]),
        "kernel_batch_forward": (None, [shape, pointer, batch, pointer, pointer]),
        "kernel_batch_gradient": (None, [shape, pointer, batch, pointer, pointer, pointer]),
        "kernel_hidden": (ctypes.c_float, [shape, pointer, pointer, pointer, pointer]),
        "kernel_batch_hidden": (None, [shape, pointer, batch, pointer, pointer, pointer]),
        "kernel_adam": (ctypes.c_int, [ctypes.c_long, rates, pointer, pointer, pointer]),
        "kernel_dot": (ctypes.c_double, [ctypes.c_long, pointer, pointer]),
        "kernel_rls": (ctypes.c_int, [observation, pointer]),
        "kernel_fingerprint": (None, [pointer, ctypes.c_long, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
