"""Export the live page's metrics and its readiness."""

from collections.abc import Iterable, Mapping
from math import nan
from typing import Final

from services.dashboard.ports import Standing
from shared.adapters.prometheus import Telemetry
from shared.core.evaluation.skill_score import Skill
from shared.core.online.interval_scores import IntervalScores

SEVERITIES: Final = ("error", "warning")


class DashboardMetrics:
    """Metrics and readiness of the live page."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Register the metrics."""
        self._telemetry = telemetry
        self._register_feed(telemetry)
        self._register_forecasts(telemetry)
        self._register_browsers(telemetry)

    def set_not_ready(self, reason: str | None) -> None:
        """Show why the page is not ready, or that it is."""
        self._telemetry.not_ready = reason

    def set_skill(self, skill: Skill | None) -> None:
        """Show the recent skill of all symbols together; NaN while there is none."""
        known = (
            (nan, nan, nan, 0) if skill is None else (skill.value, skill.low, skill.high, skill.n)
        )
        gauges = (self._skill, self._skill_lower, self._skill_upper, self._skill_candles)
        for gauge, value in zip(gauges, known, strict=True):
            gauge.set(value)

    def set_coverage(self, coverages: Iterable[int], pooled: IntervalScores) -> None:
        """Show the share of outcomes within each interval, over all symbols."""
        for coverage, covered in zip(coverages, pooled.covered, strict=True):
            label = str(coverage)
            self._coverage.labels(label).set(covered / pooled.n if pooled.n else nan)
            self._outcomes.labels(label).set(pooled.n)

    def set_standings(self, standings: Mapping[Standing, int]) -> None:
        """Show the symbols by their standing, zeros included."""
        for standing, count in standings.items():
            self._symbols.labels(standing).set(count)

    def set_problems(self, problems: Mapping[str, int]) -> None:
        """Show the problems by severity, zeros included."""
        for severity in SEVERITIES:
            self._problems.labels(severity).set(problems.get(severity, 0))

    def count_sent(self, size_bytes: int) -> None:
        """Count an event that one browser was sent."""
        self._sent.inc()
        self._sent_bytes.inc(size_bytes)

    def count_reset(self) -> None:
        """Count a browser that did not keep up."""
        self._resets.inc()

    def _register_feed(self, telemetry: Telemetry) -> None:
        self.kafka_up = telemetry.gauge("kafka_up", "1 if Kafka answers.")
        self.lag = telemetry.gauge("lag_records", "Records that are still to be read.", "topic")
        self.records = telemetry.counter("records_read_total", "Records read.", "topic")
        self.unreadable = telemetry.counter(
            "unreadable_records_total", "Records that are none of their topic's.", "topic"
        )
        self.newest_arrival = telemetry.gauge(
            "newest_candle_arrival_timestamp_seconds", "Wall time at which a candle last arrived."
        )
        self.close_to_arrival = telemetry.histogram(
            "close_to_arrival_seconds", "From a candle's close to its arrival at the producer."
        )
        self.arrival_to_readable = telemetry.histogram(
            "arrival_to_readable_seconds", "From a candle's arrival to its prediction being read."
        )

    def _register_forecasts(self, telemetry: Telemetry) -> None:
        text = "Recent skill of all symbols together against zero change"
        self._skill = telemetry.gauge("skill_ratio", f"{text}; NaN: not known.")
        self._skill_lower = telemetry.gauge("skill_lower_ratio", f"{text}: 95 % interval, lower.")
        self._skill_upper = telemetry.gauge("skill_upper_ratio", f"{text}: 95 % interval, upper.")
        self._skill_candles = telemetry.gauge("skill_candles", f"{text}: moments compared.")
        self._coverage = telemetry.gauge(
            "coverage_ratio", "Share of outcomes within the intervals, all symbols.", "coverage"
        )
        self._outcomes = telemetry.gauge(
            "coverage_outcomes", "Outcomes that the share is of.", "coverage"
        )
        self._symbols = telemetry.gauge("symbols", "Symbols by their standing.", "standing")
        self._problems = telemetry.gauge(
            "problems", "Problems that the health page shows.", "severity"
        )
        self.champion = telemetry.labelled_gauge(
            "champion_info", "1 for the version whose promotion is in force.", "version"
        )
        self.champion_since = telemetry.gauge(
            "champion_since_timestamp_seconds",
            "Open time of the first candle after that promotion; NaN: not known.",
        )
        self.predictions_last_hour = telemetry.gauge(
            "predictions_last_hour", "Predictions read in the last hour."
        )

    def _register_browsers(self, telemetry: Telemetry) -> None:
        self.browsers = telemetry.gauge("browsers", "Browsers that are connected.")
        self.update_s = telemetry.histogram("update_seconds", "Time of encoding an update.")
        self._sent = telemetry.counter("updates_sent_total", "Events sent, once for each browser.")
        self._sent_bytes = telemetry.counter("sent_bytes_total", "Bytes of these events.")
        self._resets = telemetry.counter(
            "slow_browsers_reset_total", "Browsers that did not keep up and had to begin anew."
        )
