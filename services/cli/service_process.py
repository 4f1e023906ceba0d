"""A service as a process of the command line."""

import signal
import subprocess
import sys
from collections.abc import Mapping

import typer


def run_service(module: str, arguments: list[str], environ: Mapping[str, str]) -> None:
    """Run a service to its end; signals that stop this process are sent on to it.

    Raises:
        typer.Exit: it failed; with its exit code.
    """
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], env=dict(environ))
    stops = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda n, _: process.send_signal(n)) for number in stops]
    try:
        code = process.wait()
    finally:
        for number, handler in zip(stops, before, strict=True):
            signal.signal(number, handler)
    if code:
        raise typer.Exit(code if code in {1, 2} else 1)
