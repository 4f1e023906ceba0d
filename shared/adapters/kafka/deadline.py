"""Call what may never return, with a deadline."""

import queue
import threading
from collections.abc import Callable

CallWithDeadline = Callable[[Callable[[], None], float], None]
"""(call, limit in seconds): raises what the call raises, or TimeoutError."""


def call_with_deadline(call: Callable[[], None], limit_s: float) -> None:
    """Make a call in a thread of its own; leave the thread behind at the deadline.

    Raises:
        TimeoutError: the call has not returned within the limit.
    """
    results: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            call()
        except Exception as error:
            results.put(error)
        else:
            results.put(None)

    threading.Thread(target=run, name="transaction", daemon=True).start()
    try:
        error = results.get(timeout=limit_s)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
