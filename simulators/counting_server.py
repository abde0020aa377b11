"""An HTTP server, by default on loopback, that records its requests: the target of nodes in fault tests and benchmarks.

    POST /NAME            responds with {"name": NAME} after `delay` seconds (in the query), or once NAME is released;
                          503 for the first `unwell` requests (in the query)

It runs in threads of the calling process, so it survives when other processes are killed.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from devstack.servers.ports import LOOPBACK


@dataclass(frozen=True)
class CountedRequest:
    """One request: its path without the slash, its Idempotency-Key, and its time."""

    name: str
    key: str
    at: float  # monotonic


class CountingServer:
    """Use `running_counting_server`; `open` is the number of open requests, `most_at_once` its maximum so far."""

    def __init__(self, host: str = LOOPBACK) -> None:
        self._server = _CountingHttpServer((host, 0), _CountingHandler)
        self._server.counting = self
        self.host = f"{host}:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self.max_at_once = 0
        self.open = 0
        self._asked: list[CountedRequest] = []
        self._times: Counter[str] = Counter()
        self._held: set[str] = set()
        self._changed = threading.Condition()
        self._stopping = False

    def asked(self, beginning: str = "") -> list[CountedRequest]:
        """The requests so far whose name begins with `beginning`, the oldest first."""
        with self._changed:
            return [one for one in self._asked if one.name.startswith(beginning)]

    def times(self, beginning: str = "") -> Counter[str]:
        """The number of requests for each of these names."""
        return Counter(one.name for one in self.asked(beginning))

    def hold(self, name: str) -> None:
        """Delay responses for `name` until it is released."""
        with self._changed:
            self._held.add(name)

    def release(self, name: str) -> None:
        """Respond to waiting and future requests for `name`."""
        with self._changed:
            self._held.discard(name)
            self._changed.notify_all()

    def await_call(self, name: str, *, times: int = 1, seconds: float = 30) -> None:
        """Return once `name` was requested so often; raises `TimeoutError`."""
        self._await(lambda: self._times[name] >= times, seconds, f"{name} was not requested")

    def serve_one(self, name: str, key: str, delay: float) -> int:
        """Record the request, in a server thread, and return when it may be answered: the number of earlier ones."""
        with self._changed:
            before = self._times[name]
            self._times[name] += 1
            self._asked.append(CountedRequest(name, key, time.monotonic()))
            self.open += 1
            self.max_at_once = max(self.max_at_once, self.open)
            self._changed.notify_all()
        try:
            if delay:
                time.sleep(delay)
            with self._changed:
                self._changed.wait_for(lambda: name not in self._held or self._stopping)
        finally:
            with self._changed:
                self.open -= 1
        return before

    def _await(self, holds: Callable[[], bool], seconds: float, otherwise: str) -> None:
        with self._changed:
            if not self._changed.wait_for(holds, seconds):
                raise TimeoutError(f"{otherwise} within {seconds:g} s; it has {self._times}")

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        return thread

    def _stop(self, thread: threading.Thread) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        thread.join()


class _CountingHttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 2048
    counting: CountingServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that were killed."""


class _CountingHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for headers and body
    server: _CountingHttpServer

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _handle(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        split = urlsplit(self.path)
        name, directives = split.path.strip("/"), dict(parse_qsl(split.query))
        key, delay = self.headers.get("idempotency-key", ""), float(directives.get("delay", 0))
        before = self.server.counting.serve_one(name, key, delay)
        body = orjson.dumps({"name": name})
        self.send_response(503 if before < int(directives.get("unwell", 0)) else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _handle


@contextmanager
def running_counting_server(host: str = LOOPBACK) -> Iterator[CountingServer]:
    """A server on a free port, stopped at the end of the block."""
    server = CountingServer(host)
    thread = server._start()
    try:
        yield server
    finally:
        server._stop(thread)
