"""`ulstm watch`: a live table of predictions against outcomes."""

import time
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.live import Live

from services.cli.latest_predictions import LatestPredictions
from services.cli.unreadable_records import UnreadableRecords
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.tail import TopicTail

_TAIL: Final = 2000  # records per partition that are read at the start
_REFRESH_S: Final = 1.0


def watch_command(
    context: typer.Context,
    seconds: Annotated[
        float, typer.Option("--for", min=0, help="Stop after so many seconds; 0: at Ctrl-C.")
    ] = 0.0,
) -> None:
    """Show predictions against outcomes as they arrive. An asterisk marks an actionable one."""
    settings = ServiceSettings.from_env(context.obj)
    topic, unreadable = settings.topics.predictions, UnreadableRecords()
    latest = LatestPredictions(topic, unreadable)
    ends = time.monotonic() + seconds if seconds else None
    with (
        TopicTail(settings.kafka_bootstrap_servers, [topic], _TAIL) as tail,
        Live(console=Console()) as live,
    ):
        try:
            while ends is None or time.monotonic() < ends:
                latest.add(arrived.record for arrived in tail.poll(_TAIL, _REFRESH_S))
                live.update(latest.table())
        except KeyboardInterrupt:
            pass
    unreadable.print_to(Console(stderr=True))
