"""The exchange simulator in a thread of the tests' own process, so that they see its truth."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, Self

from services.exchange_simulator.faults.script import FaultScript
from services.exchange_simulator.server import ExchangeServer
from services.exchange_simulator.settings import SimulatorSettings
from tests.support.waiting import eventually


class SimulatorThread:
    """A simulator that serves until the block ends."""

    def __init__(self, settings: Mapping[str, str], script: Mapping[str, Any]) -> None:
        given = {f"EXCHANGE_{name.upper()}": value for name, value in settings.items()}
        given["INTERVAL"] = given.pop("EXCHANGE_INTERVAL", "5m")
        self.server = ExchangeServer(
            SimulatorSettings.from_env(given), FaultScript.model_validate(script)
        )
        self._loop, self._stop = asyncio.new_event_loop(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        eventually(lambda: hasattr(self.server, "port"), 20, 0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def _run(self) -> None:
        self._loop.run_until_complete(self.server.run(self._stop))
        self._loop.close()
