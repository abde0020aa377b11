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

from api import create_app, tokens
from api.tokens import Token
from devstack.ports import LOOPBACK, free_port
from devstack.postgres import running_postgres
from devstack.redis_server import running_redis
from models.db import connect, session_scope
from models.rules.pricing import Tier
from models.services import credits, sessions
from models.user import User
from settings import Settings

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


def users(number: int) -> list[tuple[UUID, str]]:
    """So many users of the largest tier, with credits to spend: their ids and their tokens."""
    settings: Settings = importlib.import_module("celery_config").settings
    app = create_app(settings)
    found = []
    with session_scope() as session, app.app_context():
        for _ in range(number):
            email = f"{uuid4().hex}@example.com"
            user = User(email=email, name="Bench", password_hash="!", subscription_tier=Tier.ENTERPRISE)
            session.add(user)
            session.flush()
            credits.open_wallet(session, user.id)
            credits.grant(session, user.id, Decimal(100_000), key=f"bench:{user.id}", reason="Bench", source="test")
            begun = sessions.start(session, user, user_agent="bench", address=LOOPBACK)
            found.append((user.id, tokens.write(Token(user.id, begun.id, begun.generation))))
    return found
