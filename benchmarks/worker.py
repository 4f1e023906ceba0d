"""Measure in a separate process."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Self

Calls = Mapping[str, Callable[..., Any]]


class BackgroundWorker:
    """A process that prepares its calls, then makes one after the other on request."""

    def __init__(self, prepare: Callable[..., Calls], *arguments: Any) -> None:
        """Start a fresh interpreter; the first answer waits until its calls are prepared."""
        spawn = get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, prepare, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, name: str, *arguments: Any) -> None:
        """Start a call; `answer` waits for its result."""
        self._pipe.send((name, arguments))

    def answer(self) -> Any:
        """Wait for the result of the call.

        Raises:
            EOFError: the process has failed; the reason is on its stderr.
        """
        return self._pipe.recv()

    def ask(self, name: str, *arguments: Any) -> Any:
        """Make a call and wait for its result."""
        self.begin(name, *arguments)
        return self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.terminate()
        self._process.join()


def _serve(pipe: Connection, prepare: Callable[..., Calls], arguments: tuple[Any, ...]) -> None:
    calls = prepare(*arguments)
    with suppress(EOFError):
        while True:
            name, given = pipe.recv()
            pipe.send(calls[name](*given))
