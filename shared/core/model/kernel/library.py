"""Python's side of the compiled kernel: its functions and structures, as kernel.h declares them."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from cffi import FFI

from shared.core.arrays import Float32s
from shared.core.errors import Incompatible

Kernel: TypeAlias = Any
"""A loaded kernel: an object with the functions below."""

KernelData: TypeAlias = Any
"""An array or a structure, as these functions take it."""

_LIBRARY: Final = Path(__file__).parent / "_kernel.so"
_FLOAT32: Final = np.dtype(np.float32)

# As in kernel.h, but for the types of arrays: whoever calls checks those.
_DECLARATIONS: Final = """
typedef struct { int window, features, layers, width[3]; } kernel_shape;
typedef struct {
  float factor, alpha, one_minus_beta_1, one_minus_beta_2, epsilon;
} kernel_adam_rates;
typedef struct { long n; float huber_delta; const void *windows, *labels; } kernel_batch;
typedef struct {
  int n; double forgetting, label, largest_error; const void *inputs;
} kernel_observation;

const char *kernel_variant_name(void);
long kernel_scratch_floats(const kernel_shape *);
float kernel_forward(const kernel_shape *, const void *weights, const void *window, void *scratch);
void kernel_jacobian(const kernel_shape *, const void *weights, const void *window, void *scratch,
                     void *jacobian);
float kernel_hidden(const kernel_shape *, const void *weights, const void *window, void *scratch,
                    void *hidden);
void kernel_batch_forward(const kernel_shape *, const void *weights, const kernel_batch *,
                          void *scratch, void *outputs);
void kernel_batch_hidden(const kernel_shape *, const void *weights, const kernel_batch *,
                         void *scratch, void *outputs, void *hidden);
void kernel_batch_gradient(const kernel_shape *, const void *weights, const kernel_batch *,
                           void *scratch, void *outputs, void *gradient);
int kernel_adam(long n, const kernel_adam_rates *, const void *jacobian, const void *in, void *out);
double kernel_dot(long n, const void *a, const void *b);
int kernel_rls(const kernel_observation *, void *head);
void kernel_fingerprint(const void *bytes, long size, void *lanes);
"""
_FFI: Final = FFI()
_FFI.cdef(_DECLARATIONS)

pointer: Final = _FFI.from_buffer
"""Give a contiguous array to the kernel; the result keeps the array."""


@lru_cache(maxsize=8)
def load_kernel(path: Path = _LIBRARY) -> Kernel:
    """Load the compiled kernel.

    Raises:
        Incompatible: the library is missing, does not load, or lacks a function.
    """
    try:
        kernel = _FFI.dlopen(str(path))
        for name in dir(kernel):
            getattr(kernel, name)
    except (OSError, AttributeError) as error:
        raise Incompatible(
            f"the kernel {path} does not load ({error}); run `make install`, which compiles it"
        ) from error
    return kernel


def structure(name: str, **fields: Any) -> KernelData:
    """Return a structure of kernel.h with these fields, the others 0; it keeps no array."""
    return _FFI.new(f"{name} *", fields)


def variant_name(kernel: Kernel | None = None) -> str:
    """Return the vector width that the kernel chose for this processor: plain, v3 or v4."""
    name: bytes = _FFI.string((kernel or load_kernel()).kernel_variant_name())
    return name.decode()


def check_floats(*arrays: Float32s) -> None:
    """Check that C may read the arrays as `float *`.

    Raises:
        ValueError: an array is not float32 or not contiguous.
    """
    for array in arrays:
        if array.dtype != _FLOAT32 or not array.flags.c_contiguous:
            message = f"the kernel takes contiguous float32, not {array.dtype} {array.strides}"
            raise ValueError(message)
