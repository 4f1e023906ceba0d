"""Metrics and health over HTTP: `/metrics`, `/health/live`, `/health/ready`."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from shared.adapters.logs import clean
from shared.adapters.prometheus_kinds import BulkHistogram, LabelledGauge, RunningTotal
from shared.adapters.readiness import watch_readiness
from shared.core.errors import BadSetting

log = logging.getLogger(__name__)

# Longer than any wait for a server within a turn of a loop.
LONGEST_TURN_S: Final = 120.0
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Telemetry:
    """The metrics and the health of a service.

    The service sets `not_ready` in each turn of its main loop: the reason why it is not ready, or
    None. From the age of the last turn follows whether the loop still turns.
    """

    def __init__(
        self,
        service: str,
        longest_turn_s: float = LONGEST_TURN_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without metrics and not ready.

        Args:
            service: is in the metrics' names.
            longest_turn_s: a turn that lasts longer has hung; after a quarter of it the service is
                not ready.
            clock: seconds.
        """
        self._service, self._clock = service, clock
        self.longest_turn_s = longest_turn_s
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.labels: dict[str, tuple[str, ...]] = {}  # the label names of each metric
        self._not_ready: str | None = "starting"
        self._turned_s: float | None = None  # None: the loop has not begun
        self._pages: dict[str, Callable[[], object]] = {}
        self._checks: list[Callable[[], str | None]] = []
        ready = self.gauge("ready", "1 if the service is ready, as /health/ready says.")
        ready.set_function(lambda: float(not self.not_ready))
        turn = self.gauge("turn_age_seconds", "Since the main loop last began a turn.")
        turn.set_function(self._turn_age_s)

    @property
    def not_ready(self) -> str | None:
        """Why the service is not ready; None if it is."""
        age_s = self._turn_age_s()
        is_busy = age_s > self.longest_turn_s / 4
        busy = f"the main loop has been busy for {age_s:.0f} s" if is_busy else None
        found = (check() for check in self._checks)
        return "; ".join(filter(None, (busy, *found, self._not_ready))) or None

    @not_ready.setter
    def not_ready(self, reason: str | None) -> None:
        """Set why the service is not ready; this is a turn of its main loop."""
        self._not_ready = reason
        self.note_turn()

    def note_turn(self) -> None:
        """Note that the main loop turns."""
        self._turned_s = self._clock()

    def add_check(self, check: Callable[[], str | None]) -> None:
        """Let a function speak against readiness: it returns why, or None, and waits for nobody."""
        self._checks.append(check)

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Return a counter named `ulstm_<service>_<name>`."""
        return Counter(self._name(name, labels), text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Return a gauge named `ulstm_<service>_<name>`."""
        return Gauge(self._name(name, labels), text, labels, registry=self.registry)

    def histogram(
        self, name: str, text: str, *labels: str, buckets: Iterable[float] = SECONDS
    ) -> Histogram:
        """Return a histogram named `ulstm_<service>_<name>`, by default of seconds."""
        return Histogram(
            self._name(name, labels), text, labels, registry=self.registry, buckets=tuple(buckets)
        )

    def bulk_histogram(self, name: str, text: str) -> BulkHistogram:
        """Return a histogram of seconds for many equal values, named `ulstm_<service>_<name>`."""
        histogram = BulkHistogram(self._name(name), text, SECONDS)
        self.registry.register(histogram)
        return histogram

    def running_total(self, name: str, text: str, *labels: str) -> RunningTotal:
        """Return a counter named `ulstm_<service>_<name>` that follows a total."""
        return RunningTotal(self.counter(name, text, *labels))

    def labelled_gauge(self, name: str, text: str, label: str) -> LabelledGauge:
        """Return a gauge named `ulstm_<service>_<name>` whose label values come and go."""
        return LabelledGauge(self.gauge(name, text, label))

    def add_page(self, path: str, read: Callable[[], object]) -> None:
        """Serve what `read` returns as JSON; it is called on the server's threads."""
        self._pages[path] = read

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Serve HTTP and log changes of readiness, from threads; return a function to stop them.

        Args:
            host: the interface to listen on.
            port: 0 takes any free one.

        Raises:
            BadSetting: the port is taken.
        """
        try:
            server = ThreadingHTTPServer((host, port), self._handler())
        except OSError as error:
            raise BadSetting(
                f"METRICS_PORT: cannot listen on {host}:{port} ({error.strerror}); choose another"
            ) from error
        thread = threading.Thread(target=server.serve_forever, name="telemetry", daemon=True)
        thread.start()
        stop_watching = watch_readiness(lambda: self.not_ready, self._clock)
        log.info("metrics and health at http://%s:%d", host, server.server_address[1])

        def stop() -> None:
            stop_watching()
            server.shutdown()
            server.server_close()
            thread.join()

        return stop

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Return status, content type and body for a path."""
        if path == "/metrics":
            return 200, "text/plain; version=0.0.4; charset=utf-8", generate_latest(self.registry)
        if path == "/health/live":
            age_s = self._turn_age_s()
            if age_s > self.longest_turn_s:
                return 503, "text/plain", f"the main loop hangs, for {age_s:.0f} s\n".encode()
            return 200, "text/plain", b"alive\n"
        if path == "/health/ready":
            reason = self.not_ready
            status, text = (503, clean(reason)) if reason else (200, "ready")
            return status, "text/plain", f"{text}\n".encode()
        if path in self._pages:
            body = json.dumps(self._pages[path](), ensure_ascii=False).encode()
            return 200, "application/json", body
        return 404, "text/plain", b"try /metrics, /health/live or /health/ready\n"

    def _turn_age_s(self) -> float:
        return 0.0 if self._turned_s is None else self._clock() - self._turned_s

    def _name(self, name: str, labels: tuple[str, ...] = ()) -> str:
        full = f"ulstm_{self._service}_{name}"
        self.labels[full] = labels
        return full

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        telemetry = self

        class HealthHandler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = telemetry.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
                """Log nothing: health checks come every few seconds."""

        return HealthHandler
