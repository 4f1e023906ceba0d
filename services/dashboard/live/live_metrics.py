"""What the topics say now, as metrics."""

from math import nan

from services.dashboard.live.summary import Figures, Reading
from services.dashboard.live.topic_feed import TopicFeed
from services.dashboard.metrics import DashboardMetrics
from shared.adapters.prometheus_kinds import RunningTotal
from shared.core.online.interval_scores import COVERAGES


class LiveMetrics:
    """Shows the figures of each update as metrics, and whether the page is ready."""

    def __init__(self, metrics: DashboardMetrics) -> None:
        """Take the metrics of the service."""
        self._metrics = metrics
        self._records = RunningTotal(metrics.records)
        self._unreadable = RunningTotal(metrics.unreadable)

    def show(self, feed: TopicFeed, reading: Reading, figures: Figures, now_ms: float) -> None:
        """Show an update; called once for each."""
        board, metrics = feed.board, self._metrics
        metrics.set_not_ready(reading.not_ready)
        metrics.kafka_up.set(not reading.kafka_error)
        metrics.set_standings(figures.standings)
        metrics.set_skill(figures.skill)
        metrics.set_coverage(COVERAGES, figures.intervals)
        metrics.predictions_last_hour.set(board.hourly.count(now_ms))
        arrived_ms = board.newest_arrived_ms
        metrics.newest_arrival.set(nan if arrived_ms is None else arrived_ms / 1000)
        champion, since_ms = board.champion, board.champion_since_ms
        metrics.champion.show({} if champion is None else {champion.version: 1})
        metrics.champion_since.set(nan if since_ms is None else since_ms / 1000)
        self._records.update_all(feed.records_read)
        self._unreadable.update_all(board.counts.unreadable)
        for topic, lag in feed.lag.items():
            metrics.lag.labels(topic).set(lag)
        self._observe_latencies(feed)

    def _observe_latencies(self, feed: TopicFeed) -> None:
        samples = feed.board.take_latencies()
        for milliseconds in samples.close_to_arrival:
            self._metrics.close_to_arrival.observe(milliseconds / 1000)
        for milliseconds in samples.arrival_to_readable:
            self._metrics.arrival_to_readable.observe(milliseconds / 1000)
