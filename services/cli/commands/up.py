"""`ulstm up`: a whole deployment on this machine, without Docker, and its predictions live."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from services.cli.cli_options import RunFor
from services.cli.examples import examples
from services.cli.local.deployment import KlineSource, LocalDeployment, UpOptions
from services.cli.local.page_address import OpenPage, open_page
from services.cli.terminal import PlainConsole, plain_text, print_unreadable
from services.cli.watch.board import WatchBoard
from services.cli.watch.summary import count_line, status_lines, summary_panel
from services.cli.watch.table import live_table
from shared.adapters.kafka.tail import TopicTail

_TAIL: Final = 2000  # records per partition that are read at the start
_POLL: Final = 5000  # records at a time
_POLL_S: Final = 0.25
_LINE_EVERY_S: Final = 5.0  # without a terminal
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


EXAMPLES: Final = examples(
    "ulstm up --for 60", "ulstm up --exchange binance --symbols BTCUSDT,ETHUSDT --data kept"
)


def up_command(
    context: typer.Context,
    seconds: RunFor = 0.0,
    exchange: Annotated[
        KlineSource, typer.Option(help="The exchange simulator (standin), or Binance itself.")
    ] = KlineSource.STANDIN,
    candles: Annotated[
        Path | None,
        typer.Option(help="Folder of recorded candles for the simulator; default: synthetic ones."),
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.1, help="Speed of the simulator's clock; 1 is real time.")
    ] = 100.0,
    symbols: Annotated[
        str, typer.Option(help="A number (simulator), or names separated by commas.")
    ] = "20",
    faults: Annotated[
        Path | None, typer.Option(help="Script of faults that the simulator makes; default: none.")
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, max=16, help="Predictor processes.")] = 2,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Keep the data of Kafka and Redis in this folder; default: remove it at the end."
        ),
    ] = None,
    is_opened: OpenPage = None,
) -> None:
    """Start everything, show predictions live, and leave nothing running at the end."""
    options = UpOptions(exchange, candles, speed, symbols, replicas, data, seconds, faults)
    options.check()
    console = PlainConsole()
    with _interrupt_on_signals(), ExitStack() as stack:
        try:
            _run(options, context.obj, console, stack, is_opened)
        except KeyboardInterrupt:
            console.print("stopping")


def _run(
    options: UpOptions,
    environ: Mapping[str, str],
    console: Console,
    stack: ExitStack,
    is_opened: bool | None,
) -> None:
    """Start the deployment, wait for candles, train, show predictions until the end."""
    started = time.monotonic()

    def say(text: str) -> None:
        seconds = (f"{time.monotonic() - started:5.1f} s  ", "dim")
        console.print(Text.assemble(seconds, plain_text(text)), soft_wrap=True)

    def show_page(address: str) -> None:
        console.print(Text(f"\n  Live page: {address}\n", style="bold"), soft_wrap=True)
        open_page(address, environ, is_wanted=is_opened, is_terminal=console.is_terminal)

    deployment = LocalDeployment(options, environ, stack, say, show_page)
    settings = deployment.start()
    say("the first model is trained as soon as candles are there (`ulstm train` makes better ones)")
    topics = settings.topics
    followed = [topics.klines, topics.predictions, topics.dead_letters]
    board = WatchBoard(topics, settings.codec, time.time() * 1000)
    with TopicTail(settings.kafka, followed, tail=_TAIL) as tail:
        ends = started + options.seconds if options.seconds else None
        try:
            with _display(console, deployment, board, options.source, say) as update:
                while ends is None or time.monotonic() < ends:
                    board.add(tail.poll(_POLL, _POLL_S), time.time() * 1000)
                    deployment.check()
                    update()
        finally:
            console.print(summary_panel(board, time.monotonic() - started, options.source))
            print_unreadable(console, board.unreadable)


@contextmanager
def _display(
    console: Console,
    deployment: LocalDeployment,
    board: WatchBoard,
    source: str,
    say: Callable[[str], None],
) -> Iterator[Callable[[], None]]:
    """Yield a function that updates the display: a live table on a terminal, lines elsewhere."""

    def status() -> str:
        return count_line(board) + (" · training" if deployment.is_training() else "")

    def screen() -> Group:
        rows = board.rows()
        lines = [source, *status_lines(board, rows, time.time() * 1000)]
        if deployment.is_training():
            lines[0] += " · training a first model"
        table = live_table(rows, console.width, console.height - len(lines) - 1)
        return Group(*(plain_text(line) for line in lines), table)

    if console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, refresh_per_second=4, transient=False) as live:
            yield lambda: live.update(screen())
        return
    last = time.monotonic()

    def print_line() -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY_S:
            last = time.monotonic()
            say(status())

    yield print_line


@contextmanager
def _interrupt_on_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt on each signal that ends a program, so that all is cleaned up."""

    def interrupt(*_: object) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # one is enough: the rest is the cleaning up
        raise KeyboardInterrupt

    for number in _SIGNALS:
        signal.signal(number, interrupt)
    yield
