"""The predictor as a process."""

import os
import sys

from services.predictor.service import run
from services.predictor.settings import PredictorSettings
from shared.adapters.process import exit_code, log_to_stderr, stop_on_signal


def main() -> None:
    """Read the settings and run until told to stop."""
    settings = PredictorSettings.from_env(os.environ)
    log_to_stderr(settings.log_level, "predictor")
    run(settings, stop_on_signal())


if __name__ == "__main__":
    sys.exit(exit_code(main))
