"""The exchange simulator as a process."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from services.exchange_simulator.server import run
from services.exchange_simulator.settings import SimulatorSettings
from shared.adapters.logs import start_logging
from shared.adapters.process import exit_code


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the settings and run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="exchange-simulator", description=__doc__)
    parser.add_argument("--faults", default="", help="JSON file of faults to make")
    given = parser.parse_args(arguments)
    environ = {**os.environ, "EXCHANGE_FAULTS": given.faults} if given.faults else os.environ
    settings = SimulatorSettings.from_env(environ)
    start_logging(settings.log_level, "exchange-simulator", settings.log_format)
    asyncio.run(run(settings))


if __name__ == "__main__":
    sys.exit(exit_code(main))
