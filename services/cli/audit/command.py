"""`ulstm verify`: audit a deployment from its topics alone."""

import json
from multiprocessing import cpu_count
from typing import Annotated

import typer
from rich.console import Console

from services.cli.audit.display import build_table, describe_mismatches
from services.cli.audit.verify import verify
from services.cli.cli_options import AsJson
from services.cli.terminal import print_warning
from shared.adapters.env_settings import ServiceSettings
from shared.core.errors import Incompatible


def verify_command(
    context: typer.Context,
    partition: Annotated[
        list[int] | None,
        typer.Option(help="A partition (symbol group); repeat it for more. Default: all."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check from the topics alone that every prediction is right. Exit code 1: something is not."""
    settings = ServiceSettings.from_env(context.obj)
    console = Console(stderr=True)
    report = verify(settings, partition or None, console, cpu_count())
    if as_json:
        print(json.dumps(report.to_json()))
    else:
        Console().print(build_table(report))
    for profile, count in report.other_profiles.items():
        message = (
            f"{count:,} predictions of numeric profile {profile} were not derived again: run the"
            " version that made them"
        )
        print_warning(console, message)
    if not report.agrees:
        raise Incompatible(describe_mismatches(report))
