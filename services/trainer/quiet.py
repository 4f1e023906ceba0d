"""Start-up chatter of native libraries, kept from the log. Errors and warnings of theirs still get there."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# TensorFlow tells which processor features it found, and that there is no GPU, whatever its log settings are.
_CHATTER = re.compile(
    rb"[IW]\d{4} |WARNING: All log messages before absl::InitializeLog"
    rb"|To enable the following instructions|E\d{4} .*failed call to cuInit"
)


@contextmanager
def without_chatter() -> Iterator[None]:
    """Hold back what is written to standard error inside; hand on all lines but known chatter at the end."""
    sys.stderr.flush()
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)
            held.seek(0)
            os.write(2, b"".join(line for line in held if not _CHATTER.match(line)))
