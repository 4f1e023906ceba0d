"""The trainer as a process of the command line, and the options that set its environment.

Each option names the setting of the trainer that it stands for; the trainer checks the value.
"""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import typer

from services.cli.commands.servers import DEFAULT_DATA
from services.cli.service_process import run_service
from services.cli.topic_checks import open_deployment


def setting(variable: str, help_text: str, *names: str) -> Any:
    """Declare the option that sets a variable of the trainer's environment."""
    return typer.Option(*names, envvar=variable, help=help_text)


First: TypeAlias = Annotated[
    str | None, setting("TRAIN_FROM", "First open time: ISO 8601 or ms.", "--from")
]
Last: TypeAlias = Annotated[
    str | None, setting("TRAIN_TO", "Last open time: ISO 8601 or ms.", "--to")
]
Symbols: TypeAlias = Annotated[
    str | None, setting("SYMBOLS", "Comma-separated; default: all there are.")
]
Promote: TypeAlias = Annotated[
    str | None, setting("PROMOTE", "better, always or never; default: better.")
]
Report: TypeAlias = Annotated[
    str | None, setting("REPORT", "Write the model's report to this .html file.")
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


def run_trainer(context: typer.Context, *arguments: str, topics: Sequence[str] = ()) -> None:
    """Run the trainer as a process, as it alone imports TensorFlow; exit with its code.

    Signals that stop this process are sent on to it.

    Args:
        context: of the command.
        arguments: the trainer's.
        topics: those that must exist, as `Topics` calls them.
    """
    open_deployment(context.obj, *topics)
    environ = {"CHECKPOINTS": f"{DEFAULT_DATA}/training", **environment_from_options(context)}
    run_service("services.trainer", list(arguments), environ)
