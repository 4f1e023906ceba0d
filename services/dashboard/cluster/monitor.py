"""The health of the cluster, asked again and again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from services.dashboard.cluster.facts import ClusterFacts, KafkaFacts
from services.dashboard.cluster.health_page import health_page, summary
from services.dashboard.cluster.kafka_inspection import KafkaInspection
from services.dashboard.cluster.problem import ProblemList
from services.dashboard.cluster.problems import add_to_trends, find_problems
from services.dashboard.cluster.service_reader import ServiceReader
from services.dashboard.cluster.trends import Trends
from services.dashboard.ports import LogFacts
from shared.adapters.kafka.connection import KafkaConnection
from shared.core.topics import Topics

# What tells that the page must be fetched again; the services' figures change all the time.
_WATCHED: Final = ("problems", "partitions", "replicas", "symbols")


class KafkaClusterMonitor:
    """Asks Kafka and the services; one thread refreshes, any thread reads."""

    def __init__(
        self,
        kafka: KafkaConnection,
        topics: Topics,
        consumer_group: str,
        metrics_urls: Sequence[str],
        lacks_champion: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take whom to ask; connect at the first refresh.

        Args:
            kafka: how Kafka is reached.
            topics: the deployment's topics.
            consumer_group: the predictors' whole group id.
            metrics_urls: base addresses of the services' metrics.
            lacks_champion: returns whether it is certain that no version was promoted yet.
        """
        self._lacks_champion = lacks_champion
        self._kafka = KafkaInspection(kafka, topics, consumer_group)
        self._services = ServiceReader(metrics_urls)
        self._trends, self._problems = Trends(), ProblemList()
        self._show(ClusterFacts(0, KafkaFacts()))

    def refresh(self, now_ms: int, log: LogFacts) -> bool:
        """Ask everyone; return whether problems, standings, members or lags have changed.

        Args:
            now_ms: the wall clock.
            log: what the topics say now.
        """
        if self._lacks_champion():
            log = replace(log, champion=None, is_champion_known=True)
        facts = ClusterFacts(now_ms, self._kafka.read(), self._services.read(now_ms), log)
        add_to_trends(self._trends, facts)
        self._problems.update(find_problems(facts, self._trends), now_ms)
        before = self._page
        self._show(facts)
        return any(before[name] != self._page[name] for name in _WATCHED)

    def page(self) -> Mapping[str, Any]:
        """Return the health as last refreshed."""
        return self._page

    def summary(self) -> Mapping[str, Any]:
        """Return the overview's part of it."""
        return self._summary

    def problems_by_severity(self) -> Mapping[str, int]:
        """Count the problems as last refreshed."""
        return self._problems.by_severity()

    def _show(self, facts: ClusterFacts) -> None:
        self._page = health_page(facts, self._problems)
        self._summary = summary(facts, self._problems)
