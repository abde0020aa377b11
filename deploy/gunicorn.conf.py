"""How gunicorn serves the API; the address comes from the command line."""

import os
import shutil
import tempfile

worker_class = "gthread"
workers = max(2, os.cpu_count() or 1)
threads = 32  # requests are short, except long polls, which only wait
backlog = 1024
timeout = 30
graceful_timeout = 35  # a request may wait half a minute for its row
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


def on_exit(server):
    """Leave nothing behind."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
