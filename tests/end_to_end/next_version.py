"""The predictor of a next version: the same program under another numeric profile."""

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
