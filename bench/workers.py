"""Workers for benchmarks, a user whose runs they drive, and the state of those runs."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
from celery import Celery
from sqlalchemy import text

from models.db import session_scope
from models.rules.prices.pricing import Tier
from models.services.accounts import accounts
from models.services.credits import ledger

ROOT = Path(__file__).parent.parent
READY_SECONDS = 120.0  # for a worker to start, on a machine with much else to do


@contextmanager
def worker(env: dict[str, str], app: str, queues: str) -> Iterator[psutil.Process]:
    """Run a worker of the app that consumes `queues`; yield it once it is ready."""
    name = f"{uuid4().hex}@bench"
    command = [sys.executable, "-m", "celery", "-A", app, "worker", "-P", "threads", "-c", "64", "-Q", queues]
    command += ["--without-gossip", "--without-mingle", "--loglevel", "WARNING", "-n", name]
    said = Path(os.environ.get("BENCH_LOG", os.devnull))
    with said.open("ab") as log, subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log) as process:
        try:
            _until_ready(name, env["REDIS_URL"])
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def _until_ready(name: str, broker: str) -> None:
    """Return once the worker of this name answers."""
    with Celery("bench", broker=broker, set_as_current=False) as app:
        deadline = time.monotonic() + READY_SECONDS
        while not app.control.ping([name], timeout=0.5):
            assert time.monotonic() < deadline, "the worker does not answer"


def new_user() -> UUID:
    """Create a user of the largest tier with credits to spend."""
    with session_scope() as session:
        email = f"{uuid4().hex}@example.com"
        user = accounts.register(session, email=email, password_hash="!", name="Bench")
        user.subscription_tier = Tier.ENTERPRISE
        session.flush()
        ledger.grant(session, user.id, 1_000_000, key=f"bench:{email}", reason="Bench", source="adjustment")
        return user.id


def finished(submitted: list[UUID]) -> bool:
    """Whether all of these runs succeeded; raises `AssertionError` when one has failed."""
    with session_scope() as session:
        rows = session.execute(
            text("SELECT status, count(*) AS number FROM workflow_executions WHERE id = ANY(:ids) GROUP BY status"),
            {"ids": submitted},
        )
        found: dict[str, int] = {row.status: row.number for row in rows}
    assert not found.keys() & {"failed", "cancelled", "waiting"}, found
    return found.keys() == {"success"}


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """CPU that these processes have used, in seconds."""
    times = [process.cpu_times() for process in processes]
    return float(sum(used.user + used.system for used in times))


def node(name: str, expression: str = "1") -> dict[str, Any]:
    """A node that computes an expression."""
    config = {"operation": "transform", "expression": expression}
    return _node(name, "process", config)


def no_op(name: str) -> dict[str, Any]:
    """A node that hands on what came in."""
    return _node(name, "process", {})


def http_call(name: str, url: str) -> dict[str, Any]:
    """A node that asks for a URL."""
    return _node(name, "api_call", {"method": "GET", "url": url})


def _node(name: str, type_: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "type": type_, "label": name, "position": {"x": 0, "y": 0}, "config": config}
