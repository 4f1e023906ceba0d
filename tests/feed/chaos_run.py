"""Run one part of the chaos of a feed: processes, progress, comparison, memory."""

import json
import statistics
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from services.exchange_simulator.faults.script import FaultScript
from services.exchange_simulator.server import ExchangeServer
from services.exchange_simulator.settings import SimulatorSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.connection import KafkaConnection
from tests.feed.symbol_log import LogReader, SymbolLog
from tests.feed.truth import Truth
from tests.support.deployment import Deployment, Replica
from tests.support.waiting import eventually

POLL_S: Final = 2.0
REPORT_S: Final = 20.0
RECOVERY_S: Final = 420.0  # after the last candle, for repairs that the weight budget spreads
MAX_GROWTH: Final = 1.15  # of the producer's memory, from the second quarter to the last
PRODUCER: Final = {
    "SYMBOLS": "all", "MARKET_SYMBOLS": "none", "BACKFILL_CANDLES": "30", "GAP_AFTER_S": "15",
    "OUTAGE_GAP_AFTER_S": "20", "REST_DEADLINE_S": "3", "CLOSE_GRACE_S": "1",
    "STREAM_SILENCE_S": "10",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChaosPart:
    """A market, its faults, and how many candles of it are run."""

    name: str
    market: Mapping[str, str]
    script: Mapping[str, Any]
    candles: int
    speed: float


@dataclass(slots=True)
class PartReport:
    """The result of a part."""

    name: str
    symbols: int = 0
    candles: int = 0
    gaps: int = 0
    fills: int = 0
    amendments: int = 0
    dead_letters: int = 0
    usage: dict[str, Any] = field(default_factory=dict)
    memory_mb: list[float] = field(default_factory=list)  # of the producer, every few seconds
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def summary(self) -> str:
        return (
            f"{self.name}: {self.symbols} symbols, {self.candles:,} candles, {self.gaps} gaps,"
            f" {self.fills} fills, {self.amendments} amendments, {self.dead_letters} dead letters"
            f" in {self.seconds:.0f} s; memory {self.memory_text}; weight at most"
            f" {self.usage.get('largest_weight_in_a_minute')} in a minute, attempts at most"
            f" {self.usage.get('largest_attempts_in_5_minutes')} in 5 minutes;"
            f" {len(self.wrong)} wrong"
        )

    @property
    def memory_text(self) -> str:
        quarters = self.quarters_mb
        return " -> ".join(f"{each:.0f}" for each in quarters) + " MB" if quarters else "unknown"

    @property
    def quarters_mb(self) -> list[float]:
        """Return the medians of the four quarters of the run."""
        size = len(self.memory_mb) // 4
        if not size:
            return []
        return [statistics.median(self.memory_mb[n * size : (n + 1) * size]) for n in range(4)]


def run_part(part: ChaosPart, kafka: KafkaConnection, folder: Path, console: Console) -> PartReport:
    """Run a part to its comparison; it leaves nothing running."""
    name = part.name.replace(" ", "-")
    deployment = Deployment(kafka, "", f"{name}.", folder, partitions=6)
    ensure_topics(kafka, deployment.topics)
    began_s = time.monotonic()
    try:
        run = ChaosPartRun(part, deployment, console)
        report = run.report()
    finally:
        deployment.kill_replicas()
    report.seconds = time.monotonic() - began_s
    return report


class ChaosPartRun:
    """A part's processes, and the truth that this process knows as well."""

    def __init__(self, part: ChaosPart, deployment: Deployment, console: Console) -> None:
        self._part, self._deployment, self._console = part, deployment, console
        self._report = PartReport(part.name)
        self._exchange = {
            **part.market,
            "EXCHANGE_SPEED": str(part.speed),
            "EXCHANGE_PUSH_INTERVAL_S": "5",
            # A day's weight is to be had in the minutes that the day lasts here.
            "EXCHANGE_WEIGHT_PER_MINUTE": "60000",
            "EXCHANGE_PORT_FILE": str(deployment.folder / f"{deployment.prefix}port"),
        }
        self._script_file = deployment.folder / f"{deployment.prefix}faults.json"
        self._script_file.write_text(json.dumps(part.script))
        # The same settings and script give the same market: this is the truth.
        server = ExchangeServer(
            SimulatorSettings.from_env(self._exchange), FaultScript.model_validate(part.script)
        )
        self._truth, self._view = Truth(server.view), server.view
        self._start_ms, self._step_ms = server.plan.origin_ms or 0, server.view.interval_ms

    def report(self) -> PartReport:
        port = self._start_exchange()
        producer = self._start_producer(port)
        topics = self._deployment.topics
        with LogReader(self._deployment.kafka, topics, self._step_ms) as reader:
            self._follow(reader, producer)
            self._report.wrong = self._compare(reader, producer)
            self._count(reader)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/usage", timeout=10) as answer:
            self._report.usage = json.loads(answer.read())
        quarters = self._report.quarters_mb
        if len(self._report.memory_mb) > 40 and quarters[3] > MAX_GROWTH * quarters[1]:
            self._report.wrong.append(f"memory grows: {self._report.memory_text}")
        return self._report

    def _start_exchange(self) -> int:
        port_file = Path(self._exchange["EXCHANGE_PORT_FILE"])
        environ = {**self._exchange, "EXCHANGE_FAULTS": str(self._script_file)}
        self._deployment.start("services.exchange_simulator", **environ)
        eventually(port_file.exists, 120)
        return int(port_file.read_text())

    def _start_producer(self, port: int) -> Replica:
        address = f"127.0.0.1:{port}"
        urls = {"EXCHANGE_REST_URL": f"http://{address}", "EXCHANGE_STREAM_URL": f"ws://{address}"}
        return self._deployment.start("services.producer", **PRODUCER, **urls)

    def _follow(self, reader: LogReader, producer: Replica) -> None:
        """Read the log as it grows, until the last candle has closed."""
        length_s = (self._part.candles + 1) * self._step_ms / 1000 / self._part.speed
        end_s, next_report_s = time.monotonic() + length_s, 0.0
        while (now_s := time.monotonic()) < end_s and producer.process.poll() is None:
            reader.poll()
            self._report.memory_mb.append(_memory_mb(producer.process.pid))
            if now_s >= next_report_s:
                next_report_s = now_s + REPORT_S
                self._show(reader, f"{end_s - now_s:.0f} s left")
            time.sleep(POLL_S)

    def _compare(self, reader: LogReader, producer: Replica) -> list[str]:
        """Compare until nothing is wrong, or repairs have had their time."""
        end_s = time.monotonic() + RECOVERY_S
        while True:
            reader.poll()
            if producer.process.poll() is not None:
                return [f"the producer ended: {producer.log_text()[-800:]}"]
            wrong = self._differences(reader)
            if not wrong or time.monotonic() > end_s:
                return wrong
            self._show(reader, f"comparing: {len(wrong)} differences, such as {wrong[0]}")
            time.sleep(5 * POLL_S)

    def _differences(self, reader: LogReader) -> list[str]:
        wrong: list[str] = []
        until_ms = self._start_ms + self._part.candles * self._step_ms
        for symbol in self._view.market.symbols:
            log = reader.symbols.get(symbol, SymbolLog(symbol, self._step_ms))
            if log.first_ms is None or log.first_ms > self._start_ms + 20 * self._step_ms:
                wrong.append(f"{symbol}: the log begins at {log.first_ms}")
            else:
                wrong += self._truth.differences(log, log.first_ms, until_ms)
        return wrong

    def _count(self, reader: LogReader) -> None:
        logs = reader.symbols.values()
        self._report.symbols = len(logs)
        self._report.candles = sum(len(log.candles) for log in logs)
        self._report.gaps = sum(len(log.gaps) for log in logs)
        self._report.fills = sum(log.fills for log in logs)
        self._report.amendments = sum(log.amendments for log in logs)
        self._report.dead_letters = len(reader.dead_letters)

    def _show(self, reader: LogReader, doing: str) -> None:
        self._count(reader)
        report, memory = self._report, self._report.memory_mb or [0.0]
        self._console.print(
            f"{self._part.name}: {report.candles:,} candles of {report.symbols} symbols,"
            f" {report.gaps} gaps, {report.fills} fills, {report.amendments} amendments,"
            f" {report.dead_letters} dead letters, producer {memory[-1]:.0f} MB; {doing}",
            highlight=False,
            markup=False,
        )


def _memory_mb(pid: int) -> float:
    """Return the resident memory of a process, 0 where the system does not say."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(each.split()[1]) / 1024 for each in lines if each.startswith("VmRSS")), 0.0)
