"""An exchange simulator with a recording, and producers that read from it."""

import json
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.local_servers.programs import free_port
from tests.support.builders import START_MS, STEP_MS
from tests.support.deployment import Deployment, Replica
from tests.support.waiting import eventually

CANDLES = 700  # of which the simulator has 500 behind it when it starts


@dataclass
class SimulatedExchange:
    """An exchange simulator on a fixed port, and producers that read from it."""

    deployment: Deployment
    recordings: Path
    port: int = field(default_factory=free_port)

    def start(self, **environ: str) -> Replica:
        given = {
            "EXCHANGE_PORT": str(self.port),
            "EXCHANGE_SPEED": "4000",
            "EXCHANGE_CANDLES": str(self.recordings),
            "EXCHANGE_HISTORY": "500",
            **environ,
        }
        simulator = self.deployment.start("services.exchange_simulator", **given)
        eventually(lambda: _answers(self.port))
        return simulator

    def start_producer(self, symbols: Iterable[str], **environ: str) -> Replica:
        address = f"127.0.0.1:{self.port}"
        given = {
            "EXCHANGE_REST_URL": f"http://{address}",
            "EXCHANGE_STREAM_URL": f"ws://{address}",
            "SYMBOLS": ",".join(symbols),
            "BACKFILL_CANDLES": "300",
            "CLOSE_GRACE_S": "0.5",
            "GAP_AFTER_S": "2",
            "OUTAGE_GAP_AFTER_S": "2",
            **environ,
        }
        return self.deployment.start("services.producer", **given)

    def klines(self) -> dict[str, list[dict[str, Any]]]:
        """Return the fields of the log's records but statuses, by symbol."""
        return self._records(lambda fields: fields["type"] != "status")

    def statuses(self) -> dict[str, list[dict[str, Any]]]:
        """Return the fields of the log's statuses, by symbol."""
        return self._records(lambda fields: fields["type"] == "status")

    def _records(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in self.deployment.read(self.deployment.topics.klines):
            fields = json.loads(record.value or b"{}")
            if "symbol" in fields and wanted(fields):
                found[fields["symbol"]].append(fields)
        return found

    def count(self) -> int:
        return sum(map(len, self.klines().values()))

    def has_published(self, more_than: int) -> bool:
        return self.count() > more_than


def _answers(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def write_recording(
    folder: Path, symbol: str, missing: range = range(0), start_ms: int = START_MS
) -> None:
    lines = []
    for at in range(CANDLES):
        if at not in missing:
            open_ms = start_ms + at * STEP_MS
            price = 100 + at % 7
            prices = f"{price},{price + 2},{price - 2},{price + 1}"
            lines.append(f"{open_ms},{prices},5.5,{open_ms + STEP_MS - 1},550,10,2,200,0")
    (folder / f"{symbol}-5m-2025-01.csv").write_text("\n".join(lines) + "\n")
