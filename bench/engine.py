"""`make bench`: what the engine costs per node, beside plain Celery doing nothing, measured in one run.

Real processes: PostgreSQL with fsync, Redis, one worker (threads pool). Machines are noisy; the ratios mean more than
the numbers. Time runs from the first doorbell to the last row that is over.
"""

import importlib
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import redis
from sqlalchemy import text

from bench.served import servers
from models.db import session_scope
from models.rules.pricing import Tier
from models.services import accounts, credits, executions, workflows
from models.user import User
from tasks.queue import TaskName, enqueue

ROOT = Path(__file__).parent.parent
CHAIN, DIAMOND_RUNS, CHAIN_RUNS = 40, 200, 50


def main() -> None:
    """Run all measurements and print one table."""
    with servers() as env:
        plain = _plain_celery(env, DIAMOND_RUNS * 10)
        rows = [("plain Celery, a task that does nothing", plain, 1)]
        with _worker(env, "celery_config:app", "executions.high,executions.normal,executions.low") as worker:
            user_id = _user()
            _measure(worker, user_id, _diamond(), 20)  # warm: connections, threads, the compiled graph
            rows += [
                ("10-node diamond, no-op", _measure(worker, user_id, _diamond(), DIAMOND_RUNS), 10),
                ("40-node chain, no-op", _measure(worker, user_id, _chain(), CHAIN_RUNS), CHAIN),
                ("one 40-node chain, idle worker", _measure(worker, user_id, _chain(), 1), CHAIN),
                ("one 2,000-node chain, idle worker", _measure(worker, user_id, _chain(2000), 1), 2000),
            ]
    _print(rows)


class Measured:
    """Wall and worker CPU seconds of a number of jobs."""

    def __init__(self, jobs: int, wall: float, cpu: float) -> None:
        self.jobs, self.wall, self.cpu = jobs, wall, cpu


def _print(rows: list[tuple[str, Measured, int]]) -> None:
    baseline = rows[0][1]
    per_task = baseline.cpu / baseline.jobs
    print(f"\n{'':38}{'jobs/s':>9}{'nodes/s':>9}{'ms/node':>9}{'CPU ms/node':>13}{'CPU, Celery task = 1':>22}")
    for name, measured, nodes in rows:
        count = measured.jobs * nodes
        rates = f"{measured.jobs / measured.wall:9.1f}{count / measured.wall:9.0f}{1000 * measured.wall / count:9.2f}"
        per_node = measured.cpu / count
        print(f"{name:38}{rates}{1000 * per_node:13.2f}{per_node / per_task:22.2f}")


def _measure(worker: psutil.Process, user_id: UUID, graph: dict[str, Any], runs: int) -> Measured:
    with session_scope() as session:
        owner = session.get_one(User, user_id)
        workflow = workflows.create(session, owner, name="bench", description="", graph=graph, status="active")
    with session_scope() as session:
        owner = session.get_one(User, user_id)
        submitted = [
            executions.submit(session, owner, workflow.id, input=None, max_credits=None, priority=None).id
            for _ in range(runs)
        ]
    before, started = _cpu(worker), time.monotonic()
    with session_scope() as session:
        for execution_id in submitted:
            enqueue(session, TaskName.DRIVE_EXECUTION, priority="high", execution_id=execution_id)
    while _unfinished(submitted):
        time.sleep(0.01)
    return Measured(runs, time.monotonic() - started, _cpu(worker) - before)


def _unfinished(submitted: list[UUID]) -> int:
    with session_scope() as session:
        rows = session.execute(
            text("SELECT status, count(*) AS number FROM workflow_executions WHERE id = ANY(:ids) GROUP BY status"),
            {"ids": submitted},
        )
        found: dict[str, int] = {row.status: row.number for row in rows}
    assert not found.keys() & {"failed", "cancelled", "waiting"}, found
    return sum(count for status, count in found.items() if status != "success")


def _plain_celery(env: dict[str, str], tasks: int) -> Measured:
    client = redis.Redis.from_url(env["REDIS_URL"])
    nothing = importlib.import_module("bench.plain_celery").nothing
    with _worker(env, "bench.plain_celery:app", "celery") as worker:
        before, started = _cpu(worker), time.monotonic()
        for number in range(tasks):
            nothing.delay(number, tasks)
        while int(client.get("plain:done") or 0) < tasks:
            time.sleep(0.01)
        return Measured(tasks, time.monotonic() - started, _cpu(worker) - before)


@contextmanager
def _worker(env: dict[str, str], app: str, queues: str) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "celery", "-A", app, "worker", "-P", "threads", "-c", "64", "-Q", queues]
    command += ["--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
    with subprocess.Popen(command, cwd=ROOT, env=env) as process:
        try:
            time.sleep(4)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _user() -> UUID:
    with session_scope() as session:
        user = accounts.register(
            session, email="bench@example.com", password_hash="!", name="Bench", welcome_credits=10
        )
        user.subscription_tier = Tier.ENTERPRISE
        session.flush()
        credits.grant(session, user.id, 1_000_000, key="bench", reason="Bench", source="adjustment")
        return user.id


def _node(name: str) -> dict[str, Any]:
    config = {"operation": "transform", "expression": "1"}
    return {"id": name, "type": "process", "label": name, "position": {"x": 0, "y": 0}, "config": config}


def _diamond() -> dict[str, Any]:
    middle = [f"m{index}" for index in range(8)]
    pairs = [("first", name) for name in middle] + [(name, "last") for name in middle]
    return _graph(["first", *middle, "last"], pairs)


def _chain(length: int = CHAIN) -> dict[str, Any]:
    names = [f"n{index}" for index in range(length)]
    return _graph(names, list(itertools.pairwise(names)))


def _graph(names: list[str], pairs: list[tuple[str, str]]) -> dict[str, Any]:
    connections = [{"id": f"{a}-{b}", "from": a, "to": b} for a, b in pairs]
    document: dict[str, Any] = {"nodes": [_node(name) for name in names], "connections": connections}
    return document


if __name__ == "__main__":
    main()
