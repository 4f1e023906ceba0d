"""The exchange simulator as a process."""

import asyncio
import os
import sys

from services.exchange_simulator.server import run
from services.exchange_simulator.settings import SimulatorSettings
from shared.adapters.process import exit_code, log_to_stderr


def main() -> None:
    """Read the settings and run until SIGTERM or SIGINT."""
    settings = SimulatorSettings.from_env(os.environ)
    log_to_stderr(settings.log_level, "exchange-simulator")
    asyncio.run(run(settings))


if __name__ == "__main__":
    sys.exit(exit_code(main))
