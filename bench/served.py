"""A real API for benchmarks: PostgreSQL with fsync, Redis, gunicorn with production's configuration."""

import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import psutil

from devstack.ports import LOOPBACK, free_port
from devstack.postgres import running_postgres
from devstack.redis_server import running_redis
from models.db import connect

ROOT = Path(__file__).parent.parent


@contextmanager
def servers() -> Iterator[dict[str, str]]:
    """PostgreSQL and Redis; this process is connected to both. Answers the environment for others."""
    with tempfile.TemporaryDirectory(prefix="agentforge-bench-") as folder:
        directory = Path(folder)
        with running_postgres(directory / "postgres") as postgres, running_redis(directory / "redis") as broker:
            env = dict(os.environ) | {
                "DATABASE_URL": postgres.create_database("bench"),
                "REDIS_URL": broker.url("0"),
                "LOG_FORMAT": "json",
                "AGENTFORGE_ENV": "test",
            }
            subprocess.run([sys.executable, "-m", "alembic", "upgrade", "head"], cwd=ROOT, env=env, check=True)
            os.environ.update(env)
            connect(env["DATABASE_URL"])
            importlib.import_module("celery_config")  # reads the environment, and becomes who publishes
            yield env


@contextmanager
def served(env: dict[str, str], app: str = "wsgi:app", *options: str) -> Iterator[tuple[int, psutil.Process]]:
    """`app` under one worker of gunicorn: its port, and the process that answers."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "--workers", "1"]
    command += ["--bind", f"{LOOPBACK}:{port}", *options, app]
    log = open(os.environ.get("BENCH_LOG", os.devnull), "ab")  # noqa: SIM115  # as long as the process
    with log, subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log) as process:
        try:
            until_ready(port)
            (worker,) = psutil.Process(process.pid).children()
            yield port, worker
        finally:
            process.terminate()


def until_ready(port: int, path: str = "/health/live", seconds: float = 30) -> None:
    """Return once the server answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection = HTTPConnection(LOOPBACK, port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status < 500:
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which that part of them lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
