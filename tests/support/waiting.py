"""Waiting for something that happens in another process or thread."""

from collections.abc import Callable

from shared.adapters.retry import wait_until


def eventually(
    condition: Callable[[], object], deadline_s: float = 30.0, poll_interval_s: float = 0.1
) -> None:
    """Poll until the condition is true.

    Raises:
        TimeoutError: it is still false at the deadline.
    """
    if not wait_until(condition, timeout_s=deadline_s, interval_s=poll_interval_s):
        message = f"did not happen within {deadline_s:g} s"
        raise TimeoutError(message)
