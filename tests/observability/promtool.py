"""Prometheus' own checker, from the package `prometheus` of Debian and Ubuntu."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.support.imports import ROOT

OBSERVABILITY: Final = ROOT / "observability"
ALERTS: Final = OBSERVABILITY / "prometheus" / "alerts.yml"


def program(name: str) -> str:
    """Return the path of a program of that package; without it the test is skipped, in CI fails."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is missing: `apt-get install prometheus` on Debian and Ubuntu"
        if "CI" in os.environ:
            pytest.fail(message)
        pytest.skip(message)
    return path


def promtool(*arguments: str, folder: Path = ALERTS.parent) -> str:
    """Run promtool, which must succeed; return what it says."""
    done = subprocess.run(
        [program("promtool"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
