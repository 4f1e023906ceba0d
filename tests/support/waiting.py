"""Waiting for what happens in another process."""

import time
from collections.abc import Callable


def eventually(happened: Callable[[], object], deadline_s: float = 30.0) -> None:
    """Poll until it happened; fail the test at the deadline."""
    ends = time.monotonic() + deadline_s
    while not happened():
        assert time.monotonic() < ends, f"did not happen within {deadline_s:g} s"
        time.sleep(0.1)
