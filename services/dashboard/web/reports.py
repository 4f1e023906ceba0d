"""Ask the other rooms every few seconds; tell the browsers when something has changed."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Final

from services.dashboard.ports import ClusterSource, Json, LogFacts, ModelsSource
from services.dashboard.web.event_hub import EventHub, encode_event
from shared.core.errors import UlstmError

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0


class Reports:
    """Refreshes the health of the cluster and the list of models."""

    def __init__(
        self, cluster: ClusterSource, models: ModelsSource, hub: EventHub, threads: Executor
    ) -> None:
        """Take whom to ask, and the threads to ask on."""
        self._cluster, self._models, self._hub, self._threads = cluster, models, hub, threads

    async def run(
        self,
        facts: Callable[[], LogFacts],
        on_summary: Callable[[Json], None],
        on_problems: Callable[[Mapping[str, int]], None],
    ) -> None:
        """Ask again and again, until cancelled.

        Args:
            facts: returns what the topics say now.
            on_summary: takes the cluster's part of the summary.
            on_problems: takes the number of problems by severity.
        """
        while True:
            await self._refresh("health", lambda: self._refresh_cluster(facts()))
            on_summary(self._cluster.summary())
            on_problems(self._cluster.problems_by_severity())
            await self._refresh("models", self._models.refresh)
            await asyncio.sleep(EVERY_S)

    async def _refresh(self, event: str, refresh: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        try:
            has_changed = await loop.run_in_executor(self._threads, refresh)
        except UlstmError as error:
            log.debug("refreshing %s: %s", event, error)  # the live page's state says it
            return
        if has_changed:
            self._hub.publish(encode_event(event))

    def _refresh_cluster(self, facts: LogFacts) -> bool:
        return self._cluster.refresh(time.time_ns() // 1_000_000, facts)
