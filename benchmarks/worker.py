"""Work in a process of its own, measured there."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Self

Calls = Mapping[str, Callable[..., Any]]


class BackgroundWorker:
    """A process that prepares itself, then measures what it is asked for, one thing at a time."""

    def __init__(self, prepare: Callable[..., Calls], *arguments: Any) -> None:
        """Start a fresh interpreter that prepares its calls; the first answer waits for that."""
        spawn = get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, prepare, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, name: str, *arguments: Any) -> None:
        """Ask; `answer` waits for it."""
        self._pipe.send((name, arguments))

    def answer(self) -> Any:
        """Return what was asked for.

        Raises:
            EOFError: the process has failed; it has told why on stderr.
        """
        return self._pipe.recv()

    def ask(self, name: str, *arguments: Any) -> Any:
        """Ask and wait."""
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
