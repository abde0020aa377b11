"""Configuration of gunicorn for the API; the address comes from the command line."""

import ctypes
import errno
import gc
import os
import resource
import shutil
import socket
import sys
import tempfile
import threading
import time
from contextlib import contextmanager

from gunicorn.workers.gthread import ThreadWorker

READ_TIMEOUT_SECONDS = 10.0  # for a whole request to arrive, or a whole response to be sent;
MIN_BYTES_PER_SECOND = 4096  # the time grows with the bytes transferred, so that only slow clients are cut off


class TimedSocket(socket.socket):
    """A client's connection that is cut when the client is too slow; gunicorn itself would wait for ever."""

    def expect(self):
        """Start the time limit of a request."""
        self._expected, self._received = time.monotonic(), 0

    def recv(self, size, flags=0):
        if flags or self.gettimeout() is not None:  # the caller only peeks, or has its own time limit
            return super().recv(size, flags)
        with self._with_timeout(
            self._expected + READ_TIMEOUT_SECONDS + self._received / MIN_BYTES_PER_SECOND - time.monotonic()
        ):
            data = super().recv(size)
        self._received += len(data)
        return data

    def sendall(self, data, flags=0):
        with self._with_timeout(READ_TIMEOUT_SECONDS + len(data) / MIN_BYTES_PER_SECOND):
            super().sendall(data, flags)

    @contextmanager
    def _with_timeout(self, seconds):
        self.settimeout(max(seconds, 0.001))
        try:
            yield
        except TimeoutError:  # gunicorn and the application see a client that disconnected
            raise ConnectionResetError(errno.ECONNRESET, "the client is too slow") from None
        finally:
            self.settimeout(None)


class TimedWorker(ThreadWorker):
    """A threaded worker with time limits for its clients."""

    def enqueue_req(self, conn):
        """Start the time limit when the main thread finds that a client sends a request."""
        if not isinstance(conn.sock, TimedSocket):
            conn.sock = TimedSocket(fileno=conn.sock.detach())
        conn.sock.expect()
        super().enqueue_req(conn)

    def handle(self, conn):
        """Handle a request, and close its connection in the same thread.

        A client may take two seconds to close, and in the main thread all others would wait for that.
        """
        goes_on = super().handle(conn)
        if not goes_on:
            conn.close(graceful=True)
            conn.close = _is_closed  # otherwise the main thread closes it again, and uncounts the connection twice
        return goes_on


def _is_closed(graceful=False):
    """Do nothing: the connection is closed already."""


worker_class = TimedWorker
# How long a computing thread may hold the GIL while others wait: a request that only reads needs it some ten times, and
# with Python's default would wait 5 ms each time beside a large graph.
SWITCH_SECONDS = 0.0005
workers = max(2, os.cpu_count() or 1)
# A thread for each client that waits (api/live/change_notifier.py allows 2,000) and for each slow one, started on
# demand. api/limits/concurrency.py limits how many requests work at a time.
threads = 3_000
worker_connections = 6_000  # those beyond the threads are idle between two requests
backlog = 2_048
timeout = 30
graceful_timeout = 35  # waiting clients are answered at once; slow clients may need the time
keepalive = 30  # longer than a phone's pause between two polls
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
max_requests = 100_000  # bounds the effect of a memory leak
max_requests_jitter = 10_000
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108  # not on a slow disk

# The processes of one API share their metrics through files in this directory. It must be set before the library is
# imported, and it is new at every start, because counters begin anew.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="agentforge-metrics-")

# As many descriptors as the system allows: each connection needs one.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(_hard, 65_536) if _hard > 0 else 65_536, _hard))
# This is address space, not memory: a thread uses a few pages of it.
threading.stack_size(512 * 1024)
_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h
if sys.platform == "linux":
    ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)  # by default thousands of threads keep eight heaps per core


def post_worker_init(worker):
    """Serve waiting clients until the process shuts down, and exempt imported objects from garbage collection."""
    worker.wsgi.extensions["change_notifier"].serve_while(lambda: worker.alive)
    if serve_metrics := worker.wsgi.extensions.get("serve_metrics"):
        serve_metrics()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # some 150,000 permanent objects, whose traversal takes tens of milliseconds


def on_exit(server):
    """Remove the metrics' directory."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
