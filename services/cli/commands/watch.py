"""`ulstm watch`: a live table of predictions against outcomes."""

import time
from typing import Final

import typer
from rich.console import Console
from rich.live import Live

from services.cli.cli_options import RunFor
from services.cli.published_predictions import LatestPredictions
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.tail import TopicTail

_TAIL: Final = 2000  # records per partition that are read at the start
_REFRESH_S: Final = 1.0


def watch_command(context: typer.Context, seconds: RunFor = 0.0) -> None:
    """Show predictions against outcomes as they arrive. An asterisk marks an actionable one."""
    settings = ServiceSettings.from_env(context.obj)
    topic = settings.topics.predictions
    latest = LatestPredictions(topic)
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
    latest.unreadable.print_to(Console(stderr=True))
