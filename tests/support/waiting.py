"""Waiting for something that happens in another process or thread."""

import time
from collections.abc import Callable


def eventually(
    condition: Callable[[], object], deadline_s: float = 30.0, poll_interval_s: float = 0.1
) -> None:
    """Poll until the condition is true.

    Raises:
        TimeoutError: it is still false at the deadline.
    """
    ends = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > ends:
            message = f"did not happen within {deadline_s:g} s"
            raise TimeoutError(message)
        time.sleep(poll_interval_s)
