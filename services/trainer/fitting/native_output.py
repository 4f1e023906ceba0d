"""Silences the start-up lines that TensorFlow's C++ code writes to standard error."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def discard_native_stderr() -> Iterator[None]:
    """Discard writes to file descriptor 2; exceptions pass through.

    TensorFlow reports CPU features and missing GPUs before it reads TF_CPP_MIN_LOG_LEVEL.
    """
    sys.stderr.flush()
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
