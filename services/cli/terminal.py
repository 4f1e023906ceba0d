"""The terminal: everything that the command line prints goes out here.

A foreign program may write anything to a topic, and a file may have any name: escape sequences that
a terminal obeys, characters that turn the reading direction, square brackets that rich takes for
markup. Here they are shown, never obeyed.
"""

import io
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import isfinite
from typing import Any, Final, NoReturn

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment
from rich.text import Text

from shared.adapters.logs import StormFilter, clean
from shared.core.printable_text import escape_controls
from shared.log.published_predictions import UnreadableRecords

CLOSED_PIPE: Final = 141  # exit code of a program that SIGPIPE ends: 128 + 13
_LONGEST: Final = 1_000  # characters of any text in a record


@contextmanager
def prepared_terminal() -> Iterator[None]:
    """Show log lines as warnings; escape characters that the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    handler = _WarningHandler(logging.WARNING)
    handler.addFilter(StormFilter())
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


class _WarningHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print_warning(PlainConsole(stderr=True), clean(record.getMessage()))


class PlainConsole(Console):
    """A console that reads no markup and escapes control characters in whatever it prints."""

    def __init__(self, *, stderr: bool = False) -> None:
        """Print to standard output, or to standard error."""
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)
        self.push_render_hook(_EscapeControls())

    def on_broken_pipe(self) -> NoReturn:
        """End quietly: the program that read the output has ended."""
        end_at_closed_pipe()


class _EscapeControls(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Escaped(renderable) for renderable in renderables]


class _Escaped:
    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(_escape_lines(segment.text), segment.style)


def printable(text: str) -> str:
    """Return the beginning of a text, with its control characters escaped."""
    return escape_controls(text[:_LONGEST])


def plain_text(text: str, style: str = "") -> Text:
    """Return a text of one or more lines for rich, without markup."""
    return Text(_escape_lines(text), style=style)


def print_lines(lines: Iterable[str]) -> None:
    """Print each text as a line on standard output, with its control characters escaped."""
    _write("".join(f"{escape_controls(line)}\n" for line in lines))


def print_text(text: str) -> None:
    """Print a text of one or more lines on standard output."""
    print_lines(text.split("\n"))


def print_json(document: object, *, indent: int | None = None, sort_keys: bool = False) -> None:
    """Print one JSON document in ASCII on standard output; a number that is not finite is null."""
    try:
        text = json.dumps(document, indent=indent, sort_keys=sort_keys, allow_nan=False)
    except ValueError:
        text = json.dumps(_without_nan(document), indent=indent, sort_keys=sort_keys)
    _write(text.replace("\x7f", "\\u007f") + "\n")


def print_message(text: str) -> None:
    """Print a message on standard error, beside the output that programs read."""
    PlainConsole(stderr=True).print(plain_text(text), soft_wrap=True)


def print_warning(console: Console, message: str) -> None:
    """Print a message that the user should not overlook."""
    console.print(plain_text(f"WARNING: {message}", "bold red"), soft_wrap=True)


def print_unreadable(console: Console, unreadable: UnreadableRecords) -> None:
    """Warn of each record that is described, and say how many more there are."""
    for description in unreadable.descriptions:
        print_warning(console, f"skipped an unreadable record: {description}")
    if unreadable.count > len(unreadable.descriptions):
        more = unreadable.count - len(unreadable.descriptions)
        console.print(f"... and {more:,} more", soft_wrap=True)


def _escape_lines(text: str) -> str:
    return "\n".join(map(escape_controls, text.split("\n")))


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        end_at_closed_pipe()


def end_at_closed_pipe() -> NoReturn:
    """End quietly: the program that read the output has ended."""
    # Python flushes standard output once more at its end, and would complain of the closed pipe.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(CLOSED_PIPE)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    return [_without_nan(one) for one in value] if isinstance(value, list | tuple) else value
