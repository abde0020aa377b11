"""A real API for benchmarks: PostgreSQL with fsync, Redis, gunicorn with production's configuration."""

import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from uuid import UUID, uuid4

import psutil

from api import create_app
from api.auth import tokens
from devstack.servers.ports import LOOPBACK, free_port
from devstack.servers.postgres import running_postgres
from devstack.servers.redis_server import running_redis
from models.db import connect, session_scope
from models.rules.prices.pricing import Tier
from models.services.accounts import sessions
from models.services.accounts.sessions import AccessToken
from models.services.credits import ledger
from models.tables import User
from settings import Settings

ROOT = Path(__file__).parent.parent


@contextmanager
def servers() -> Iterator[dict[str, str]]:
    """Run PostgreSQL and Redis, connect this process to both, and yield the environment for other processes."""
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
            importlib.import_module("celery_config")  # reads the environment and installs the task publisher
            yield env


@contextmanager
def served(env: dict[str, str], app: str = "asgi:app", *options: str) -> Iterator[tuple[int, psutil.Process]]:
    """Run `app` under one worker of gunicorn; yield its port and the process that responds."""
    with served_by(1, env, app, *options) as (port, (worker,)):
        yield port, worker


@contextmanager
def served_by(
    number: int, env: dict[str, str], app: str = "asgi:app", *options: str
) -> Iterator[tuple[int, list[psutil.Process]]]:
    """Run `app` under so many workers of gunicorn; yield its port and the processes that respond."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "--workers", str(number)]
    command += ["--bind", f"{LOOPBACK}:{port}", *options, app]
    with running(command, env) as process:
        until_ready(port)
        yield port, psutil.Process(process.pid).children()


@contextmanager
def running(command: Sequence[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process of ours, which logs to the file that BENCH_LOG names."""
    said = Path(os.environ.get("BENCH_LOG", os.devnull))
    with said.open("ab") as log, subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log) as process:
        try:
            yield process
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
    """The value below which that share of them lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def cpu_seconds(process: psutil.Process) -> float:
    """The CPU time that a process has taken, in and outside of the kernel."""
    times = process.cpu_times()
    return float(times.user + times.system)


def users(number: int) -> list[tuple[UUID, str]]:
    """Create users of the largest tier with credits; return their ids and tokens."""
    settings: Settings = importlib.import_module("celery_config").settings
    app = create_app(settings)
    found = []
    with session_scope() as session, app.app_context():
        for _ in range(number):
            email = f"{uuid4().hex}@example.com"
            user = User(email=email, name="Bench", password_hash="!", subscription_tier=Tier.ENTERPRISE)
            session.add(user)
            session.flush()
            ledger.open_wallet(session, user.id)
            ledger.grant(session, user.id, Decimal(100_000), key=f"bench:{user.id}", reason="Bench", source="test")
            begun = sessions.start(session, user, user_agent="bench", address=LOOPBACK)
            found.append((user.id, tokens.write(AccessToken(user.id, begun.id, begun.generation))))
    return found
