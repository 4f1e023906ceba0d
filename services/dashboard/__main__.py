"""Run the live page as a process: the parts list, and the only reader of the environment."""

import asyncio
import os
import sys

from services.dashboard.cluster.monitor import KafkaClusterMonitor
from services.dashboard.history.history_reader import SymbolHistoryReader
from services.dashboard.metrics import DashboardMetrics
from services.dashboard.models.logged_models import LoggedModels
from services.dashboard.settings import DashboardSettings
from services.dashboard.web.server import DashboardServer, LogSources, stop_on_signals
from shared.adapters.kafka.contact import KafkaContact
from shared.adapters.logs import start_logging
from shared.adapters.process import exit_code
from shared.adapters.prometheus import Telemetry


def main() -> None:
    """Read the settings and serve until a signal requests a stop."""
    settings = DashboardSettings.from_env(os.environ)
    start_logging(settings.log_level, "dashboard", settings.log_format)
    asyncio.run(run(settings))


async def run(settings: DashboardSettings) -> None:
    """Serve the live page until SIGTERM or SIGINT.

    Raises:
        BadSetting: a setting is wrong, or the page's libraries are not installed.
    """
    telemetry = Telemetry("dashboard")
    server = build_server(settings, telemetry)
    stop = asyncio.Event()
    stop_on_signals(stop)
    stop_serving = telemetry.serve(settings.metrics_host, settings.metrics_port)
    try:
        with KafkaContact(settings.kafka, settings.topics.klines) as contact:
            telemetry.add_check(contact.problem)
            await server.run(stop)
    finally:
        stop_serving()


def build_server(settings: DashboardSettings, telemetry: Telemetry) -> DashboardServer:
    """Put the server together; nothing is connected yet.

    Raises:
        BadSetting: the page's libraries are not installed.
    """
    kafka, topics = settings.kafka, settings.topics
    models = LoggedModels(kafka, topics)
    cluster = KafkaClusterMonitor(
        kafka, topics, settings.predictor_group, settings.metrics_addresses, models.lacks_champion
    )
    sources = LogSources(SymbolHistoryReader(kafka, topics), models, cluster)
    return DashboardServer(settings, DashboardMetrics(telemetry), sources)


if __name__ == "__main__":
    sys.exit(exit_code(main))
