"""The trainer as a process of the command line, and the options that set its environment.

Each option names the setting of the trainer that it stands for; the trainer checks the value.
"""

import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Annotated, TypeAlias

import typer

from services.cli.commands.servers import DEFAULT_DATA

First: TypeAlias = Annotated[
    str | None,
    typer.Option("--from", envvar="TRAIN_FROM", help="First open time: ISO 8601 or ms."),
]
Last: TypeAlias = Annotated[
    str | None,
    typer.Option("--to", envvar="TRAIN_TO", help="Last open time: ISO 8601 or ms."),
]
Symbols: TypeAlias = Annotated[
    str | None,
    typer.Option(envvar="SYMBOLS", help="Comma-separated; default: all there are."),
]
Promote: TypeAlias = Annotated[
    str | None,
    typer.Option(envvar="PROMOTE", help="better, always or never; default: better."),
]
Report: TypeAlias = Annotated[
    str | None,
    typer.Option(envvar="REPORT", help="Write the model's report to this .html file."),
]


def environment_from_options(context: typer.Context) -> dict[str, str]:
    """Return the environment, with each option that is given in its variable."""
    variables = {option.name: option.envvar for option in context.command.params}
    given = {
        str(variables[name]): str(value)
        for name, value in context.params.items()
        if variables[name] is not None and value is not None
    }
    return {**context.obj, **given}


def run_trainer(environ: Mapping[str, str], *arguments: str) -> None:
    """Run the trainer as a process, as it alone imports TensorFlow; exit with its code.

    Signals that stop this process are sent on to it.
    """
    environ = {"CHECKPOINTS": f"{DEFAULT_DATA}/training", **environ}
    process = subprocess.Popen([sys.executable, "-m", "services.trainer", *arguments], env=environ)
    stops = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda n, _: process.send_signal(n)) for number in stops]
    try:
        code = process.wait()
    finally:
        for number, handler in zip(stops, before, strict=True):
            signal.signal(number, handler)
    if code:
        raise typer.Exit(code if code in {1, 2} else 1)
