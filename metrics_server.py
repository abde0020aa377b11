"""Serves metrics on a port of their own, which no proxy forwards, so that they are not public.

One of the API's processes binds the port and serves the metrics of all; the others keep trying to bind it, so that
another one takes over when that process ends. A worker or beat serves its own, on a port of its own.
"""

import errno
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

import threads

log = structlog.get_logger(__name__)

RETRY_SECONDS = 2.0
KEPT_SECONDS = 5.0  # for which metrics are cached, so that frequent scrapes do not load the database
SLOW_CLIENT_SECONDS = 10
READS, PAUSE_SECONDS = 5, 0.05  # of the shared files, while one of them is being made


def shared_metrics(directory: str) -> bytes:
    """The metrics of all processes that keep them in `directory`, in Prometheus's text format.

    The library cannot read the file of a process that has just made it and written nothing; then all are read again.
    """
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=directory)  # type: ignore[no-untyped-call]
    for _ in range(READS - 1):
        try:
            return generate_latest(registry)
        except struct.error:
            time.sleep(PAUSE_SECONDS)
    return generate_latest(registry)


class MetricsServer:
    """Serves the text that `read` returns at `GET /metrics`, and nothing else."""

    def __init__(self, bind: str, port: int, read: Callable[[], bytes], *, is_shared: bool = False) -> None:
        """Build a server.

        Args:
            bind: the address of an interface.
            port: not 0.
            read: makes the text.
            is_shared: whether another process with the same metrics may have the port.
        """
        self._address = bind, port
        self._is_shared = is_shared
        self._read = read
        self._lock = threading.Lock()
        self._kept, self._kept_until = b"", 0.0

    def start(self) -> None:
        """Start a thread that serves as soon as the port is free."""
        threads.keep_running("metrics", self._serve)

    def text(self) -> bytes:
        """The metrics, read at most every `KEPT_SECONDS`."""
        with self._lock:
            if time.monotonic() >= self._kept_until:
                self._kept = self._read()
                self._kept_until = time.monotonic() + KEPT_SECONDS
            return self._kept

    def _serve(self) -> None:
        while True:
            try:
                with ThreadingHTTPServer(self._address, _handler(self)) as server:
                    server.serve_forever()
            except OSError as error:
                if not (self._is_shared and error.errno == errno.EADDRINUSE):
                    log.warning("metrics.not_served", port=self._address[1], reason=str(error))
            time.sleep(RETRY_SECONDS)


def _handler(metrics: MetricsServer) -> type[BaseHTTPRequestHandler]:
    class MetricsHandler(BaseHTTPRequestHandler):
        timeout = SLOW_CLIENT_SECONDS

        def do_GET(self) -> None:
            if self.path != "/metrics":
                self.send_error(404)
                return
            text = metrics.text()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return MetricsHandler
