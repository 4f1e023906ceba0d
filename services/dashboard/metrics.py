"""Export the live page's metrics and its readiness."""

from shared.adapters.prometheus import Telemetry


class DashboardMetrics:
    """Metrics and readiness of the live page."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Register the metrics."""
        self._telemetry = telemetry
        self.records = telemetry.counter("records_total", "Records read.", "topic")
        self.unreadable = telemetry.gauge(
            "unreadable_records", "Records read that are none of their topic's."
        )
        self.symbols = telemetry.gauge("symbols", "Symbols shown.")
        self.browsers = telemetry.gauge("browsers", "Browsers that are connected.")
        self.updates = telemetry.counter("updates_total", "Updates encoded for the browsers.")
        self.update_s = telemetry.histogram(
            "update_seconds", "From new records read to the update encoded."
        )
        self.resets = telemetry.counter(
            "resets_total", "Browsers that did not keep up and were told to begin anew."
        )

    def set_not_ready(self, reason: str | None) -> None:
        """Show why the page is not ready, or that it is."""
        self._telemetry.not_ready = reason
