"""A service as a process of the command line."""

import importlib.util
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping

import typer

from shared.core.errors import Unavailable


def run_service(module: str, arguments: list[str], environ: Mapping[str, str]) -> None:
    """Run a service to its end; signals that stop this process are sent on to it.

    Raises:
        typer.Exit: it failed; with its exit code.
        Unavailable: it is not installed here, as in the command line's image.
    """
    _check_installed(module, arguments)
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


def _check_installed(module: str, arguments: list[str]) -> None:
    if importlib.util.find_spec(module) is None:
        service = module.rpartition(".")[2]
        command = shlex.join(["python", "-m", module, *arguments])
        raise Unavailable(
            f"{module} is not installed here; in containers it is in an image of its own:"
            f" `docker compose run --rm {service} {command}`, with `-e NAME=VALUE` after --rm"
            " for each setting"
        )
