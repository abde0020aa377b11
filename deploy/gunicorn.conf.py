"""How gunicorn serves the API; the address comes from the command line."""

import os

worker_class = "gthread"
workers = max(2, os.cpu_count() or 1)
threads = 32  # requests are short, except long polls, which only wait
backlog = 1024
timeout = 30
graceful_timeout = 20
keepalive = 30  # longer than a phone's pause between two polls
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
max_requests = 100_000  # a leak, if there is one, stays small
max_requests_jitter = 10_000
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108  # heartbeats do not wait for a disk
