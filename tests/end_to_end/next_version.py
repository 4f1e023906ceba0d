"""The predictor as a version with another kernel: the same program, told that its arithmetic is another."""

import sys
from unittest.mock import patch

from services.predictor.__main__ import main
from shared.adapters.process import exit_code
from shared.core.model.numeric_profile import GOLDEN, PROFILE_VERSION

VERSION = PROFILE_VERSION + 1
PROFILE = f"{VERSION}-{GOLDEN[:16]}"

if __name__ == "__main__":
    with patch("shared.core.model.numeric_profile.PROFILE_VERSION", VERSION):
        sys.exit(exit_code(main))
