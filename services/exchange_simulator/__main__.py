"""The parts of the stand-in exchange."""

import asyncio
import os
import sys

from services.exchange_simulator.faults import NoFaults
from services.exchange_simulator.service import run
from services.exchange_simulator.settings import SimulatorSettings
from shared.adapters.process import exit_code, log_to_stderr


def main() -> int:
    """Run until stopped; return the exit code."""

    def start() -> None:
        settings = SimulatorSettings.from_env(os.environ)
        log_to_stderr(settings.log_level, "exchange")
        asyncio.run(run(settings, NoFaults()))

    return exit_code(start)


if __name__ == "__main__":
    sys.exit(main())
