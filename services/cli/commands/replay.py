"""`ulstm replay`: fold the log again, as it happened."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.cli.cli_options import parse_time_option_ms
from services.cli.replay import OpenTimes, PartitionReplay, replay
from services.cli.terminal import print_warning
from shared.adapters.env_settings import ServiceSettings
from shared.core.errors import Incompatible
from shared.core.model.numeric_profile import self_test


def replay_command(
    context: typer.Context,
    start: Annotated[
        str, typer.Option("--from", help="Compare predictions of candles that open from here on.")
    ] = "",
    end: Annotated[str, typer.Option("--to", help="... and before here.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Write the prediction values to this file, one a line.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Fold the archived topic again and compare with what was published, byte for byte.

    Exit code 1 if anything differs, or if a record on the predictions topic is no prediction.
    """
    settings = ServiceSettings.from_env(context.obj)
    wanted = OpenTimes(
        parse_time_option_ms(start, "--from", OpenTimes().from_ms),
        parse_time_option_ms(end, "--to", OpenTimes().to_ms),
    )
    console = Console(stderr=True)
    replays = replay(settings, wanted, out, console)
    if as_json:
        print(json.dumps([replayed.to_json() for replayed in replays]))
    else:
        Console().print(_table(replays))
    for replayed in replays:
        _warn(console, replayed)
    _check_same(replays, settings.topics.predictions)


def _warn(console: Console, replayed: PartitionReplay) -> None:
    for profile, count in replayed.published.by_other_profile.items():
        message = (
            f"{count} predictions of partition {replayed.partition} were not compared: they have"
            f" numeric profile {profile}, this version has {self_test()}; replay them with the"
            " version that has it"
        )
        print_warning(console, message)
    replayed.published.unreadable.print_to(console)


def _check_same(replays: Sequence[PartitionReplay], topic: str) -> None:
    unreadable = sum(replayed.published.unreadable.count for replayed in replays)
    if unreadable:
        message = f"{topic} holds {unreadable:,} records that are no predictions of this version"
        raise Incompatible(message)
    if not all(replayed.is_same for replayed in replays):
        message = (
            f"the predictions on {topic} differ from what the log gives;"
            " `ulstm verify` names the first that does"
        )
        raise Incompatible(message)


def _table(replays: Sequence[PartitionReplay]) -> Table:
    table = Table(
        "partition",
        "predictions",
        "SHA-256",
        "published",
        "not published yet",
        "of other profiles",
        "unreadable",
        "same bytes",
        title="replay",
    )
    for replayed in replays:
        published = replayed.published
        table.add_row(
            str(replayed.partition),
            str(replayed.derived.count),
            replayed.derived.sha256[:16],
            str(published.digest.count),
            str(replayed.not_published_yet),
            str(published.by_other_profile.total()),
            str(published.unreadable.count),
            "yes" if replayed.is_same else "NO",
        )
    return table
