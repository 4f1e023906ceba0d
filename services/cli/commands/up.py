"""`ulstm up`: the whole stack on this machine, without Docker, and what it does, live."""

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from services.cli.local.live_stats import Observed
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.tail import TopicTail
from shared.adapters.retry import retry_until_available, wait_until
from shared.core.errors import BadSetting, UlstmError
from shared.local_servers import launcher
from shared.log.archive import Archive

_STEP_S: Final = 0.25
_LINE_EVERY_S: Final = 5.0  # without a terminal, a line so often
_PATIENCE_S: Final = 120.0
_STOP_S: Final = 10.0


class ExchangeEndpoints(StrEnum):
    """Where klines come from."""

    STANDIN = "standin"
    BINANCE = "binance"


# A short training, so that predictions come within a minute; `ulstm train` makes better models.
_QUICK: Final = {
    "SYMBOLS": "",
    "BACKFILL_CANDLES": "1500",
    "MAX_CANDLES": "1500",
    "MIN_CANDLES": "1000",
    "EPOCHS": "2",
    "WINDOWS_PER_EPOCH": "30000",
    "VALIDATION_WINDOWS": "5000",
    "SCORED_CANDLES": "60",
    "SCORED_SYMBOLS": "10",
}


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What to start."""

    exchange: ExchangeEndpoints
    candles: Path | None
    speed: float
    symbols: str
    replicas: int
    data: Path | None
    seconds: float


def up_command(
    context: typer.Context,
    seconds: Annotated[
        float, typer.Option("--for", min=0, help="Stop after so many seconds; 0: at Ctrl-C.")
    ] = 0,
    exchange: Annotated[
        ExchangeEndpoints, typer.Option(help="The stand-in, or Binance itself.")
    ] = ExchangeEndpoints.STANDIN,
    candles: Annotated[
        Path | None,
        typer.Option(help="Folder of recorded candles for the stand-in; else synthetic ones."),
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.1, help="How fast the stand-in's clock runs.")
    ] = 100.0,
    symbols: Annotated[
        str, typer.Option(help="A number (stand-in), or names separated by commas.")
    ] = "20",
    replicas: Annotated[int, typer.Option(min=1, max=16, help="Predictor processes.")] = 2,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Keep Kafka's and Redis' data here; default: a folder that goes at the end."
        ),
    ] = None,
) -> None:
    """Start everything, show predictions live, and leave nothing running."""
    plan = UpOptions(exchange, candles, speed, symbols, replicas, data, seconds)
    _check(plan)
    console = Console()
    with _interruptible(), ExitStack() as stack:
        try:
            LocalDeployment(plan, dict(context.obj), console, stack).run()
        except KeyboardInterrupt:
            console.print("stopping")


class LocalDeployment:
    """The processes of one `ulstm up`, in the order they are started; they end in the opposite order."""

    def __init__(
        self, plan: UpOptions, environ: Mapping[str, str], console: Console, stack: ExitStack
    ) -> None:
        """Start nothing yet."""
        self._plan, self._console, self._stack = plan, console, stack
        self._environ = dict(environ)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._started = time.monotonic()
        self._folder = self._made_folder()

    def run(self) -> None:
        """Start, train, watch, sum up.

        Raises:
            UlstmError: something did not start; the message says where its log is.
        """
        self._start_servers()
        settings = ServiceSettings.from_env(self._environ)
        retry_until_available(
            threading.Event(),
            lambda: ensure_topics(settings.kafka_bootstrap_servers, settings.topics),
        )
        newest_ms = Archive(settings.kafka_bootstrap_servers, settings.topics).newest_ms()
        if self._plan.exchange is ExchangeEndpoints.STANDIN:
            self._start_standin(newest_ms)
        self._spawn("producer", "services.producer")
        for number in range(1, self._plan.replicas + 1):
            self._spawn(f"predictor-{number}", "services.predictor")
        topics = [settings.topics.klines, settings.topics.predictions, settings.topics.dead_letters]
        with TopicTail(settings.kafka_bootstrap_servers, topics, tail=2000) as follower:
            observed = Observed(settings.topics)
            self._await_candles(follower, observed, 0 if newest_ms else int(_QUICK["MIN_CANDLES"]))
            self._spawn("trainer", "services.trainer", "fit", environ=_QUICK)
            self._say("training a first model (short; `ulstm train` makes better ones)")
            try:
                self._watch(follower, observed)
            finally:
                self._console.print(
                    observed.summary(time.monotonic() - self._started, self._label())
                )

    def _start_servers(self) -> None:
        self._say("starting Kafka and Redis")
        running = launcher.start(self._folder / "servers", die_with_parent=True)
        self._stack.callback(running.stop)
        found = running.servers
        self._say(f"Kafka at {found.kafka_bootstrap}, Redis at {found.redis_url}")
        self._environ |= {
            "KAFKA_BOOTSTRAP_SERVERS": found.kafka_bootstrap,
            "REDIS_URL": found.redis_url,
            "SESSION_TIMEOUT_MS": "6000",
            "METRICS_PORT": "0",
        }
        if self._plan.exchange is ExchangeEndpoints.BINANCE:
            self._environ["SYMBOLS"] = self._plan.symbols
        self._environ["BACKFILL_CANDLES"] = _QUICK["BACKFILL_CANDLES"]

    def _start_standin(self, newest_ms: int | None) -> None:
        """Start the stand-in; on a log that was kept, its clock goes on after the newest candle there."""
        port_file = self._folder / "exchange.port"
        port_file.unlink(missing_ok=True)
        self._spawn(
            "exchange",
            "services.exchange_simulator",
            environ={
                "EXCHANGE_SPEED": str(self._plan.speed),
                "EXCHANGE_CANDLES": str(self._plan.candles.resolve()) if self._plan.candles else "",
                "EXCHANGE_SYMBOLS": self._plan.symbols,
                "EXCHANGE_START_MS": "" if newest_ms is None else str(newest_ms),
                "EXCHANGE_PORT": "0",
                "EXCHANGE_PORT_FILE": str(port_file),
            },
        )
        self._until(
            "the exchange stand-in to listen",
            lambda: port_file.exists() and port_file.read_text().strip(),
        )
        where = f"127.0.0.1:{port_file.read_text().strip()}"
        self._say(f"exchange stand-in at {where}, {self._label()}")
        self._environ |= {
            "EXCHANGE_REST_URL": f"http://{where}",
            "EXCHANGE_STREAM_URL": f"ws://{where}",
            "SYMBOLS": "all",
        }

    def _await_candles(self, follower: TopicTail, observed: Observed, each: int) -> None:
        def backfilled() -> bool:
            observed.take(follower.poll(5000, _STEP_S))
            return observed.is_live and min(observed.symbols.values()) >= each

        self._until("the back-fill to reach the present", backfilled)
        self._say(
            f"{observed.candles} candles of {len(observed.symbols)} symbols are in the log, and it grows"
        )

    def _watch(self, follower: TopicTail, observed: Observed) -> None:
        ends = self._started + self._plan.seconds if self._plan.seconds else None
        with self._shown(observed) as show:
            while ends is None or time.monotonic() < ends:
                observed.take(follower.poll(5000, _STEP_S))
                self._check_processes()
                show()

    @contextmanager
    def _shown(self, observed: Observed) -> Iterator[Callable[[], None]]:
        """A live table on a terminal; elsewhere a line from time to time."""
        if self._console.is_terminal:
            with Live(console=self._console, refresh_per_second=4, transient=False) as live:
                yield lambda: live.update(
                    Group(Text(self._status(observed)), observed.table(self._label()))
                )
            return
        last = time.monotonic()

        def line() -> None:
            nonlocal last
            if time.monotonic() - last >= _LINE_EVERY_S:
                last = time.monotonic()
                self._say(self._status(observed))

        yield line

    def _status(self, observed: Observed) -> str:
        training = self._processes["trainer"].poll() is None
        return observed.line() + (" · training" if training else "")

    def _check_processes(self) -> None:
        for name, process in self._processes.items():
            code = process.poll()
            if code is not None and not (name == "trainer" and code == 0):
                log = self._folder / f"{name}.log"
                message = f"{name} ended with exit code {code}; the end of its log:\n{_tail(log)}"
                raise UlstmError(message)

    def _until(self, what: str, happened: Callable[[], object]) -> None:
        def happened_while_all_run() -> bool:
            if not happened():
                self._check_processes()
                return False
            return True

        if not wait_until(happened_while_all_run, timeout_s=_PATIENCE_S, interval_s=_STEP_S / 5):
            message = f"waited {_PATIENCE_S:g} s for {what}; logs are in {self._folder}"
            raise UlstmError(message)

    def _spawn(
        self, name: str, module: str, *arguments: str, environ: Mapping[str, str] | None = None
    ) -> None:
        command = launcher.bound_to_parent([sys.executable, "-m", module, *arguments])
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env={**self._environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for this process, which ends the others in order
            )
        self._processes[name] = process
        self._stack.callback(_end, process)

    def _made_folder(self) -> Path:
        if self._plan.data is not None:
            self._plan.data.mkdir(parents=True, exist_ok=True)
            return self._plan.data.resolve()
        folder = Path(tempfile.mkdtemp(prefix="ulstm-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _label(self) -> str:
        if self._plan.exchange is ExchangeEndpoints.BINANCE:
            return "Binance"
        source = (
            f"candles recorded in {self._plan.candles}"
            if self._plan.candles
            else "SYNTHETIC candles"
        )
        return f"{source}, clock x {self._plan.speed:g}"

    def _say(self, text: str) -> None:
        self._console.print(
            f"[dim]{time.monotonic() - self._started:5.1f} s[/dim]  {text}", highlight=False
        )


def _check(plan: UpOptions) -> None:
    if plan.exchange is ExchangeEndpoints.BINANCE and plan.symbols.isdigit():
        message = f"--symbols is {plan.symbols}; with --exchange binance name them, such as BTCUSDT,ETHUSDT"
        raise BadSetting(message)
    if plan.candles is not None and not plan.candles.is_dir():
        message = f"--candles is {plan.candles}, which is no folder of recorded candles"
        raise BadSetting(message)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let every signal that ends a program end this one in order, whatever it is doing."""

    def interrupt(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # one is enough: the rest is cleaning up
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    yield


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
