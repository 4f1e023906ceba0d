"""`ulstm watch`: predictions against outcomes as they arrive."""

import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from math import inf
from typing import Final

import typer

from services.cli.cli_options import AsJson, RunFor
from services.cli.examples import examples
from services.cli.terminal import (
    PlainConsole,
    print_json,
    print_message,
    print_text,
    print_unreadable,
)
from services.cli.topic_checks import open_deployment
from services.cli.watch.board import WatchBoard
from services.cli.watch.lines import prediction_line
from shared.adapters.kafka.tail import TopicTail
from shared.core.online.prediction import Prediction

_TAIL: Final = 2000  # records per partition that are read at the start
_BLOCK: Final = 500  # records at a time: the keys are answered between two blocks
_POLL_S: Final = 0.25
_CATCH_UP_S: Final = 2.0  # in which the records that are there already are read


EXAMPLES: Final = examples("ulstm watch", "ulstm watch --for 60 --json")


def watch_command(context: typer.Context, seconds: RunFor = 0.0, as_json: AsJson = False) -> None:
    """Show predictions against outcomes as they arrive. An asterisk marks an actionable one.

    On a terminal: a table that scrolls (arrows, Page Up, Page Down, Home, End), filters (/), sorts
    (s, r) and ends with q. Elsewhere: a line for each prediction, the newest of each symbol first;
    with --json, each line is the document of `ulstm predict --json`.
    """
    settings = open_deployment(context.obj, "klines", "predictions")
    topics = settings.topics
    board = WatchBoard(topics, settings.codec, time.time() * 1000)
    followed = [topics.klines, topics.predictions]
    with TopicTail(settings.kafka, followed, _TAIL) as tail:
        if _is_terminal() and not as_json:
            _show_screen(board, tail, seconds)
        else:
            _print_lines(board, tail, seconds, as_json=as_json)
            print_message(board.latencies.describe())
    print_unreadable(PlainConsole(stderr=True), board.unreadable)


def _is_terminal() -> bool:
    """Say whether a screen can be drawn: Textual reads keys and writes to standard error."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(stream.isatty() for stream in streams) and not PlainConsole().is_dumb_terminal


def _show_screen(board: WatchBoard, tail: TopicTail, seconds: float) -> None:
    # Imported here: no other command needs Textual.
    from services.cli.watch.screen import WatchApp

    error = WatchApp(board, lambda: tail.poll(_BLOCK, _POLL_S), seconds).run()
    if error is not None:
        raise error


def _print_lines(board: WatchBoard, tail: TopicTail, seconds: float, *, as_json: bool) -> None:
    """Print the newest prediction of each symbol, then each that arrives."""
    began = time.monotonic()
    ends, caught_up = began + (seconds or inf), began + _CATCH_UP_S
    with suppress(KeyboardInterrupt):
        while time.monotonic() < min(ends, caught_up):
            board.add(tail.poll(_BLOCK, _POLL_S), time.time() * 1000)
        _print_predictions(map(board.by_symbol.__getitem__, sorted(board.by_symbol)), as_json)
        while time.monotonic() < ends:
            added = board.add(tail.poll(_BLOCK, _POLL_S), time.time() * 1000)
            _print_predictions(added, as_json)


def _print_predictions(predictions: Iterable[Prediction], as_json: bool) -> None:
    for prediction in predictions:
        if as_json:
            print_json(asdict(prediction), sort_keys=True)
        else:
            print_text(prediction_line(prediction))
