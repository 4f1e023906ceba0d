"""A whole deployment as processes on this machine, without Docker."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from services.cli.local.options import KlineSource, UpOptions
from services.cli.local.processes import ServiceProcesses
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.retry import retry_until_available, wait_until
from shared.core.errors import UlstmError
from shared.local_servers import launcher
from shared.log.archive import Archive

_WAIT_S: Final = 120.0
_POLL_S: Final = 0.05
_TRAINER: Final = "trainer"

# A short training, so that predictions come within a minute; `ulstm train` makes better models.
QUICK_TRAINING: Final = {
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


class LocalDeployment:
    """Kafka, Redis and the services, in the order they are started; they end in reverse order."""

    def __init__(
        self,
        options: UpOptions,
        environ: Mapping[str, str],
        stack: ExitStack,
        on_step: Callable[[str], None],
    ) -> None:
        """Start nothing yet.

        Args:
            options: what to start.
            environ: the environment of the services.
            stack: ends everything when it closes.
            on_step: takes a line on each step.
        """
        self._options, self._environ = options, dict(environ)
        self._stack, self._on_step = stack, on_step
        self._folder = self._make_folder()
        self._processes = ServiceProcesses(self._folder, stack)

    def start(self) -> tuple[ServiceSettings, int | None]:
        """Start the servers, the exchange, the producer and the predictors.

        Returns:
            The deployment's settings, and the newest open time in ms that its log held before;
            None for an empty log.

        Raises:
            UlstmError: something did not start; the message says where its log is.
        """
        self._start_servers()
        settings = ServiceSettings.from_env(self._environ)
        where, topics = settings.kafka_bootstrap_servers, settings.topics
        retry_until_available(threading.Event(), lambda: ensure_topics(where, topics))
        newest_ms = Archive(where, topics).newest_ms()
        if self._options.exchange is KlineSource.STANDIN:
            self._start_simulator(newest_ms)
        self._start("producer", "services.producer")
        for number in range(1, self._options.replicas + 1):
            self._start(f"predictor-{number}", "services.predictor")
        return settings, newest_ms

    def start_training(self) -> None:
        """Start a short training, after which predictions begin."""
        self._start(_TRAINER, "services.trainer", "fit", **QUICK_TRAINING)

    def is_training(self) -> bool:
        """Return whether the training has not ended yet."""
        return self._processes.is_running(_TRAINER)

    def check(self) -> None:
        """Check that all services run.

        Raises:
            UlstmError: one has ended; the message shows the end of its log.
        """
        self._processes.check(may_finish=_TRAINER)

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
            message = f"waited {_WAIT_S:g} s for {what}; the logs are in {self._folder}"
            raise UlstmError(message)

    def _start_servers(self) -> None:
        self._on_step("starting Kafka and Redis")
        running = launcher.start(self._folder / "servers", die_with_parent=True)
        self._stack.callback(running.stop)
        servers = running.servers
        self._on_step(f"Kafka at {servers.kafka_bootstrap}, Redis at {servers.redis_url}")
        self._environ |= {
            "KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap,
            "REDIS_URL": servers.redis_url,
            "SESSION_TIMEOUT_MS": "6000",
            "METRICS_PORT": "0",
            "BACKFILL_CANDLES": QUICK_TRAINING["BACKFILL_CANDLES"],
        }
        if self._options.exchange is KlineSource.BINANCE:
            self._environ["SYMBOLS"] = self._options.symbols

    def _start_simulator(self, newest_ms: int | None) -> None:
        """Start the exchange simulator; its clock continues after the newest candle in the log."""
        options, port_file = self._options, self._folder / "exchange.port"
        port_file.unlink(missing_ok=True)
        self._start(
            "exchange",
            "services.exchange_simulator",
            EXCHANGE_SPEED=str(options.speed),
            EXCHANGE_CANDLES=str(options.candles.resolve()) if options.candles else "",
            EXCHANGE_SYMBOLS=options.symbols,
            EXCHANGE_START_MS="" if newest_ms is None else str(newest_ms),
            EXCHANGE_PORT="0",
            EXCHANGE_PORT_FILE=str(port_file),
        )
        self.wait_for(
            "the exchange simulator to listen",
            lambda: port_file.exists() and port_file.read_text().strip(),
        )
        address = f"127.0.0.1:{port_file.read_text().strip()}"
        self._on_step(f"exchange simulator at {address}, {options.source}")
        self._environ |= {
            "EXCHANGE_REST_URL": f"http://{address}",
            "EXCHANGE_STREAM_URL": f"ws://{address}",
            "SYMBOLS": "all",
        }

    def _start(self, name: str, module: str, *arguments: str, **environ: str) -> None:
        self._processes.start(name, module, *arguments, environ={**self._environ, **environ})

    def _make_folder(self) -> Path:
        if self._options.data is not None:
            self._options.data.mkdir(parents=True, exist_ok=True)
            return self._options.data.resolve()
        folder = Path(tempfile.mkdtemp(prefix="ulstm-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder
