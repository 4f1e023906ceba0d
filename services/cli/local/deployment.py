"""A whole deployment as processes on this machine, without Docker."""

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from services.cli.local.page_address import choose_port, is_listening, page_address
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.retry import retry_until_available, wait_until
from shared.core.errors import BadSetting, UlstmError
from shared.local_servers.launcher import kill_with_parent, start
from shared.local_servers.programs import HOST, free_port
from shared.log.archive import Archive

_WAIT_S: Final = 120.0
_POLL_S: Final = 0.05
_STOP_S: Final = 10.0
_SHOWN_LINES: Final = 15  # of a log, when its process has ended
_TRAINER: Final = "trainer"

_CANDLES: Final = "1000"  # of a symbol, back-filled and trained on: one request of REST

# A short training, so that predictions come within a minute; `ulstm train` makes better models.
_QUICK_TRAINING: Final = {
    "SYMBOLS": "",
    "TRAIN_EVERY_HOURS": "0",
    "MAX_CANDLES": _CANDLES,
    "MIN_CANDLES": "700",
    "EPOCHS": "2",
    "WINDOWS_PER_EPOCH": "30000",
    "VALIDATION_WINDOWS": "5000",
    "SCORED_CANDLES": "60",
    "SCORED_SYMBOLS": "10",
    "START_CANDLES": "200",
}


class KlineSource(StrEnum):
    """The exchange that klines come from."""

    STANDIN = "standin"
    BINANCE = "binance"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """The options of `ulstm up`: the processes to start, and the time to run."""

    exchange: KlineSource
    candles: Path | None  # a folder of recorded candles; None: synthetic ones
    speed: float  # of the simulator's clock
    symbols: str  # a number (simulator), or names
    replicas: int  # of the predictor
    data: Path | None  # None: a folder that is removed at the end
    seconds: float  # 0: until a signal
    faults: Path | None = None  # a script of faults that the simulator makes

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            BadSetting: the message names the option and what to give instead.
        """
        if self.exchange is KlineSource.BINANCE and self.symbols.isdigit():
            raise BadSetting(
                f"--symbols is {self.symbols}; with --exchange binance name them, such as"
                " BTCUSDT,ETHUSDT"
            )
        if self.candles is not None and not self.candles.is_dir():
            raise BadSetting(f"--candles is {self.candles}, which is no folder of recorded candles")
        if self.faults is not None and not self.faults.is_file():
            raise BadSetting(
                f"--faults is {self.faults}, which is no file: give a script of faults"
            )
        if self.faults is not None and self.exchange is KlineSource.BINANCE:
            raise BadSetting("--faults needs the simulator: leave out --exchange binance")

    @property
    def source(self) -> str:
        """The source of the klines, in words."""
        if self.exchange is KlineSource.BINANCE:
            return "Binance"
        candles = f"candles recorded in {self.candles}" if self.candles else "SYNTHETIC candles"
        return f"{candles}, clock x {self.speed:g}"


class LocalDeployment:
    """Kafka, Redis and the services, in the order they are started; they end in reverse order."""

    def __init__(
        self,
        options: UpOptions,
        environ: Mapping[str, str],
        stack: ExitStack,
        on_step: Callable[[str], None],
        on_page: Callable[[str], None],
    ) -> None:
        """Start nothing yet.

        Args:
            options: what to start.
            environ: the environment of the services.
            stack: ends everything when it closes.
            on_step: takes a line on each step.
            on_page: takes the live page's address as soon as it can be opened.
        """
        self._options, self._environ = options, dict(environ)
        self._stack, self._on_step, self._on_page = stack, on_step, on_page
        self._page_port = choose_port(environ)
        self._metrics_ports: dict[str, int] = {}  # by service
        self._folder = self._make_folder()
        self._port_file = self._folder / "exchange.port"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> ServiceSettings:
        """Start the servers, the exchange, the producer, the predictors and a short training.

        Returns:
            The deployment's settings.

        Raises:
            UlstmError: something did not start; the message says where its log is.
        """
        is_simulated = self._options.exchange is KlineSource.STANDIN
        has_log = (self._folder / "servers").exists()
        if is_simulated and not has_log:
            self._start_simulator(None)  # while Kafka starts
        self._start_servers()
        settings = ServiceSettings.from_env(self._environ)
        where, topics = settings.kafka, settings.topics
        retry_until_available(threading.Event(), lambda: ensure_topics(where, topics))
        self._start_page()
        if is_simulated and has_log:
            self._start_simulator(Archive(where, topics).newest_ms())
        if is_simulated:
            self._await_simulator()
        self._start_service("producer", "services.producer")
        for number in range(1, self._options.replicas + 1):
            self._start_service(f"predictor-{number}", "services.predictor")
        # It waits for the candles.
        self._start_service(_TRAINER, "services.trainer", **_QUICK_TRAINING)
        self._await_page()
        return settings

    def is_training(self) -> bool:
        """Return whether the training has not ended yet."""
        return self._processes[_TRAINER].poll() is None

    def check(self) -> None:
        """Check that all services run; the training may have finished.

        Raises:
            UlstmError: one has ended; the message shows the end of its log.
        """
        for name, process in self._processes.items():
            code = process.poll()
            if code is not None and (name, code) != (_TRAINER, 0):
                lines = (self._folder / f"{name}.log").read_text(errors="replace").splitlines()
                log_end = "\n".join(lines[-_SHOWN_LINES:])
                raise UlstmError(
                    f"{name} ended with exit code {code}; the end of its log:\n{log_end}"
                )

    def wait_for(self, what: str, condition: Callable[[], object]) -> None:
        """Wait until a condition holds, as long as all services run.

        Raises:
            UlstmError: a service has ended, or the condition did not hold in time.
        """

        def holds() -> bool:
            if condition():
                return True
            self.check()
            return False

        if not wait_until(holds, timeout_s=_WAIT_S, interval_s=_POLL_S):
            raise UlstmError(f"waited {_WAIT_S:g} s for {what}; the logs are in {self._folder}")

    def _start_servers(self) -> None:
        self._on_step("starting Kafka and Redis")
        running = start(self._folder / "servers", die_with_parent=True)
        self._stack.callback(running.stop)
        servers = running.servers
        self._on_step(f"Kafka at {servers.kafka_bootstrap}, Redis at {servers.redis_url}")
        self._environ |= {
            "KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap,
            "REDIS_URL": servers.redis_url,
            "GROUP_PROTOCOL": "consumer",  # these servers are configured for it
            "BACKFILL_CANDLES": _CANDLES,
        }
        if self._options.exchange is KlineSource.BINANCE:
            self._environ["SYMBOLS"] = self._options.symbols

    def _start_page(self) -> None:
        """Start the live page early, so that it shows the back-fill and the training too."""
        replicas = [f"predictor-{number}" for number in range(1, self._options.replicas + 1)]
        self._metrics_ports = {name: free_port() for name in ("producer", *replicas, _TRAINER)}
        addresses = [f"http://{HOST}:{port}" for port in self._metrics_ports.values()]
        self._start(
            "dashboard",
            "services.dashboard",
            DASHBOARD_PORT=str(self._page_port),
            METRICS_PORT="0",
            METRICS_URLS=",".join(addresses),
        )

    def _await_page(self) -> None:
        self.wait_for("the live page to listen", lambda: is_listening(self._page_port))
        self._on_page(page_address(self._page_port))

    def _start_service(self, name: str, module: str, **environ: str) -> None:
        """Start a service whose metrics the live page asks for."""
        self._start(name, module, METRICS_PORT=str(self._metrics_ports[name]), **environ)

    def _start_simulator(self, newest_ms: int | None) -> None:
        """Start the exchange simulator; its clock continues after the newest candle in the log."""
        options, port_file = self._options, self._port_file
        port_file.unlink(missing_ok=True)
        self._start(
            "exchange",
            "services.exchange_simulator",
            EXCHANGE_SPEED=str(options.speed),
            EXCHANGE_CANDLES=str(options.candles.resolve()) if options.candles else "",
            EXCHANGE_SYMBOLS=options.symbols,
            EXCHANGE_FAULTS=str(options.faults.resolve()) if options.faults else "",
            EXCHANGE_START_MS="" if newest_ms is None else str(newest_ms),
            EXCHANGE_PORT="0",
            EXCHANGE_PORT_FILE=str(port_file),
        )

    def _await_simulator(self) -> None:
        port_file = self._port_file
        self.wait_for(
            "the exchange simulator to listen",
            lambda: port_file.exists() and port_file.read_text().strip(),
        )
        address = f"127.0.0.1:{port_file.read_text().strip()}"
        self._on_step(f"exchange simulator at {address}, {self._options.source}")
        self._environ |= {
            "EXCHANGE_REST_URL": f"http://{address}",
            "EXCHANGE_STREAM_URL": f"ws://{address}",
            "SYMBOLS": "all",
            # The simulator has no candle that comes later, and its clock may run fast.
            "GAP_AFTER_S": "3",
            "OUTAGE_GAP_AFTER_S": "3",
        }

    def _start(self, name: str, module: str, *arguments: str, **environ: str) -> None:
        """Start a service with a log of its own; it ends with this process, however that ends."""
        command = kill_with_parent([sys.executable, "-m", module, *arguments])
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env={**self._environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches only this process, which then ends the others in order.
                start_new_session=True,
            )
        self._processes[name] = process
        self._stack.callback(_end, process)

    def _make_folder(self) -> Path:
        if self._options.data is not None:
            self._options.data.mkdir(parents=True, exist_ok=True)
            return self._options.data.resolve()
        folder = Path(tempfile.mkdtemp(prefix="ulstm-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
