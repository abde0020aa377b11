"""Configuration of gunicorn for the API; the address comes from the command line."""

import gc
import os
import resource
import shutil
import signal
import sys
import tempfile

from gunicorn.arbiter import Arbiter
from uvicorn_worker import UvicornWorker


class ApiWorker(UvicornWorker):
    """uvicorn in a process of gunicorn, with time limits for its clients, and its share of them."""

    CONFIG_KWARGS = {  # noqa: RUF012  # the worker copies it
        "loop": "uvloop",
        "http": "api.serving.timed_protocol:TimedProtocol",
        "ws": "none",
        "lifespan": "on",
        "access_log": False,  # the application logs its requests itself
        "server_header": False,
        "proxy_headers": False,  # the application knows how many proxies it may believe (PROXY_HOPS)
        "timeout_notify": 1,
        "limit_concurrency": 8_000,  # connections; beyond them clients get 503
        "timeout_graceful_shutdown": 30,
    }

    async def _serve(self):
        """Serve until the process is told to end, sharing the connections with the other processes."""
        from api.serving.sharing_server import SharingServer  # noqa: PLC0415  # once the metrics have their directory

        self.config.app = self.wsgi
        server = SharingServer(self.config, self.place)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    async def callback_notify(self):
        """Tell gunicorn every second that this process lives, and end with it."""
        await super().callback_notify()
        if self.ppid != os.getppid():
            os.kill(os.getpid(), signal.SIGTERM)


worker_class = ApiWorker
# How long a computing thread may hold the GIL while others wait: a request that only reads needs it some ten times, and
# with Python's default would wait 5 ms each time beside a large graph.
SWITCH_SECONDS = 0.0005
workers = max(2, os.cpu_count() or 1)
backlog = 2_048
timeout = 30
graceful_timeout = 35  # clients that wait get their responses at once; slow ones may need the time
keepalive = 30  # longer than a phone's pause between two polls
max_requests = 1_000_000  # bounds the effect of a memory leak
max_requests_jitter = 100_000
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108  # not on a slow disk

# The processes of one API share their metrics through files in this directory. It must be set before the library is
# imported, and it is new at every start, because counters begin anew.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="agentforge-metrics-")
else:
    os.makedirs(os.environ["PROMETHEUS_MULTIPROC_DIR"], exist_ok=True)  # which `on_exit` removed at the last end

# As many descriptors as the system allows: each connection needs one.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(_hard, 65_536) if _hard > 0 else 65_536, _hard))


def on_starting(server):
    """Import the application's modules before the port is open, so that no client waits meanwhile."""
    import api  # noqa: F401, PLC0415  # its metrics need the directory above
    from api.serving.sharing_server import ConnectionCounts  # noqa: PLC0415  # likewise

    server.connection_counts = ConnectionCounts()


def pre_fork(server, worker):
    """Give a process that is about to start its place in the counts that all share."""
    worker.place = server.connection_counts.take_place()


def post_worker_init(worker):
    """Serve metrics, start traces, and exempt imported objects from garbage collection."""
    flask_app = getattr(worker.wsgi, "app", worker.wsgi)  # behind the front of `asgi.py`, or without it
    for name in ("serve_metrics", "start_tracing"):
        if start := flask_app.extensions.get(name):
            start()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # some 150,000 permanent objects, whose traversal takes tens of milliseconds


def child_exit(server, worker):
    """Leave a process that has ended out of the counts and metrics of what is now, such as waiting clients."""
    from prometheus_client import multiprocess  # noqa: PLC0415  # only now its directory is known

    multiprocess.mark_process_dead(worker.pid)
    worker.place.leave()


def on_exit(server):
    """Remove the metrics' directory."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
