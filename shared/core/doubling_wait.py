"""Waits that double up to a longest one."""


class DoublingWait:
    """Gives one wait after the other, in seconds.

    >>> wait = DoublingWait(1.0, 3.0)
    >>> [wait.next_s() for _ in range(3)]
    [1.0, 2.0, 3.0]
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        """Begin with the first wait."""
        self._first_s, self._longest_s, self._next_s = first_s, longest_s, first_s

    def next_s(self) -> float:
        """Return the next wait."""
        wait_s = self._next_s
        self._next_s = min(self._longest_s, 2 * wait_s)
        return wait_s

    def reset(self) -> None:
        """Begin again with the first wait."""
        self._next_s = self._first_s
