"""The producer as a process."""

import os
import sys

from services.producer.service import run
from services.producer.settings import ProducerSettings
from shared.adapters.process import exit_code, log_to_stderr, stop_on_signal


def main() -> None:
    """Read the settings and run until told to stop."""
    settings = ProducerSettings.from_env(os.environ)
    log_to_stderr(settings.log_level, "producer")
    run(settings, stop_on_signal())


if __name__ == "__main__":
    sys.exit(exit_code(main))
