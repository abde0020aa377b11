"""How gunicorn serves the API; the address comes from the command line."""

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

PATIENCE = 10.0  # seconds in which a request must have come, or an answer must have gone, whole,
PACE = 4096  # and one more for so many bytes of it: a client on a bad line has its time, and no other has


class Line(socket.socket):
    """A client's connection that is cut when the client is too slow; gunicorn itself would wait for ever."""

    def expect(self):
        """A request begins."""
        self._expected, self._received = time.monotonic(), 0

    def recv(self, size, flags=0):
        if flags or self.gettimeout() is not None:  # somebody looks whether it lives, or has a time limit of his own
            return super().recv(size, flags)
        with self._for_at_most(self._expected + PATIENCE + self._received / PACE - time.monotonic()):
            data = super().recv(size)
        self._received += len(data)
        return data

    def sendall(self, data, flags=0):
        with self._for_at_most(PATIENCE + len(data) / PACE):
            super().sendall(data, flags)

    @contextmanager
    def _for_at_most(self, seconds):
        self.settimeout(max(seconds, 0.001))
        try:
            yield
        except TimeoutError:  # to gunicorn and the application it is as if the client had hung up
            raise ConnectionResetError(errno.ECONNRESET, "the client is too slow") from None
        finally:
            self.settimeout(None)


class PatientWorker(ThreadWorker):
    """Threads, whose patience with clients comes to an end."""

    def enqueue_req(self, conn):
        """The main thread found out that a client says something."""
        if not isinstance(conn.sock, Line):
            conn.sock = Line(fileno=conn.sock.detach())
        conn.sock.expect()
        super().enqueue_req(conn)

    def handle(self, conn):
        """In a thread, and the goodbye too: a client may take two seconds for it, and all wait for the main thread."""
        goes_on = super().handle(conn)
        if not goes_on:
            conn.close(graceful=True)
            conn.close = _is_closed  # or else the main thread fails to, and counts the connection off twice
        return goes_on


def _is_closed(graceful=False):
    """Instead of closing once more."""


worker_class = PatientWorker
workers = max(2, os.cpu_count() or 1)
# A thread for each client that waits (api/hub.py lets 2,000 do so) and for each that is slow; they are made when they
# are needed. How many requests work at a time is decided in api/concurrency.py.
threads = 3_000
worker_connections = 6_000  # the rest is for connections between two requests
backlog = 2_048
timeout = 30
graceful_timeout = 35  # who waits is answered at once; a slow answer may need its time
keepalive = 30  # longer than a phone's pause between two polls
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
max_requests = 100_000  # a leak, if there is one, stays small
max_requests_jitter = 10_000
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108  # heartbeats do not wait for a disk

# The processes of one API count together in files, so that /metrics answers for all of them. It has to be set before
# the library is imported, and it is new with every start, because counts begin anew.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="agentforge-metrics-")

# As many descriptors as the system lets us have: each connection is one.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(_hard, 65_536) if _hard > 0 else 65_536, _hard))
# Address space, not memory: a thread touches a few pages of it.
threading.stack_size(512 * 1024)
_ARENA_MAX = -8  # as malloc.h has it
if sys.platform == "linux":
    ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)  # by default thousands of threads keep eight heaps per core


def post_worker_init(worker):
    """Let go of whoever waits as soon as the process is told to stop, and leave what was imported to no collector."""
    worker.wsgi.extensions["hub"].serve_while(lambda: worker.alive)
    gc.collect()
    gc.freeze()  # some 150,000 objects that stay: to look through them takes tens of milliseconds


def on_exit(server):
    """Leave nothing behind."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
