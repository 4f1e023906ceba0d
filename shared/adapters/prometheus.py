"""Metrics and health over HTTP: `/metrics`, `/health/live`, `/health/ready`."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from shared.core.errors import BadSetting

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Telemetry:
    """The metrics and the health of a service.

    The service sets `not_ready`: the reason why it is not ready, or None.
    """

    def __init__(self, service: str) -> None:
        """Start without metrics and not ready."""
        self._service = service
        self.registry = CollectorRegistry()
        self.not_ready: str | None = "starting"
        self._pages: dict[str, Callable[[], object]] = {}

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Return a counter named `ulstm_<service>_<name>`."""
        return Counter(self._name(name), text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Return a gauge named `ulstm_<service>_<name>`."""
        return Gauge(self._name(name), text, labels, registry=self.registry)

    def histogram(self, name: str, text: str, *labels: str) -> Histogram:
        """Return a histogram of seconds named `ulstm_<service>_<name>`."""
        return Histogram(self._name(name), text, labels, registry=self.registry, buckets=SECONDS)

    def add_page(self, path: str, read: Callable[[], object]) -> None:
        """Serve what `read` returns as JSON; it is called on the server's threads."""
        self._pages[path] = read

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Serve HTTP from a thread; return a function that stops it.

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

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Return status, content type and body for a path."""
        if path == "/metrics":
            return 200, "text/plain; version=0.0.4; charset=utf-8", generate_latest(self.registry)
        if path == "/health/live":
            return 200, "text/plain", b"alive\n"
        if path == "/health/ready":
            reason = self.not_ready
            status, text = (503, reason) if reason else (200, "ready")
            return status, "text/plain", f"{text}\n".encode()
        if path in self._pages:
            body = json.dumps(self._pages[path](), ensure_ascii=False).encode()
            return 200, "application/json", body
        return 404, "text/plain", b"try /metrics, /health/live or /health/ready\n"

    def _name(self, name: str) -> str:
        return f"ulstm_{self._service}_{name}"

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
