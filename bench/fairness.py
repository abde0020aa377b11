"""`make bench-fairness`: how long a flood keeps another user's first run waiting, and low priorities behind high ones.

Real processes: PostgreSQL with fsync, Redis, one worker with as many threads as production's. Somebody queues thousands
of runs that take a while, somebody else queues one; the time until the latter starts is measured by the database.
"""

import argparse
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import redis
from sqlalchemy import text

from bench.served import ROOT, servers
from models.db import session_scope
from models.rules.pricing import Tier
from models.services import accounts, credits, executions, workflows
from models.user import User
from tasks.queue import TaskName, enqueue

_WAITED = text("SELECT extract(epoch FROM started_at - created_at)::float FROM workflow_executions WHERE id = :id")

_COPY = text("""
    INSERT INTO workflow_executions (id, user_id, workflow_id, version_id, workflow_name, status, priority, price_list,
                                     credits_cap, nodes_total, last_seq, deferred_at, rung_at)
    SELECT gen_random_uuid(), user_id, workflow_id, version_id, workflow_name, 'queued', priority, price_list,
           credits_cap, nodes_total, 1, CASE WHEN NOT :ring THEN now() END, CASE WHEN :ring THEN now() END
      FROM workflow_executions, generate_series(1, :runs) WHERE id = :id RETURNING id
""")
_HOLD = text("""
    WITH held AS (INSERT INTO credit_holds (execution_id, user_id, amount, status)
                  SELECT id, user_id, credits_cap, 'held' FROM workflow_executions WHERE id = ANY(:ids)
                  RETURNING amount)
    UPDATE credits SET held = held + (SELECT coalesce(sum(amount), 0) FROM held) WHERE user_id = :user
""")

BATCH = 50
SECONDS = 0.2  # that each run of a flood takes
QUEUES = ("executions.high", "executions.normal", "executions.low")

_numbers = itertools.count(1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="One user's flood, and another's first run.")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--ring-all", action="store_true", help="ring for every run of the flood, as if none waited")
    args = parser.parse_args()
    with servers() as env, worker(env):
        _print("an idle worker", _first_run(_user(Tier.FREE)))
        flood = _user(Tier.FREE)
        seconds = _flood(flood, args.runs, ring_all=args.ring_all)
        print(f"{args.runs} runs of one user queued in {seconds:.0f} s; the broker has {_messages(env)} doorbells.")
        _print("behind them, another user of the same tier", _first_run(_user(Tier.FREE)))
        _print("behind them, a user of the highest tier", _first_run(_user(Tier.ENTERPRISE)))
        for _ in range(3):
            _flood(_user(Tier.ENTERPRISE), 300, ring_all=True)
        print(f"900 runs of three users of the highest tier besides; the broker has {_messages(env)} doorbells.")
        _print("behind them, a user of the lowest tier", _first_run(_user(Tier.FREE)))


def _print(what: str, seconds: float) -> None:
    print(f"  {what:50}{seconds:8.2f} s until it starts")


def _first_run(user_id: UUID) -> float:
    """Queue one run, and answer the seconds until it started."""
    execution_id = _queue(user_id, _workflow(user_id, 0), 1)[0]
    while True:
        with session_scope() as session:
            waited: float | None = session.scalar(_WAITED, {"id": execution_id})
        if waited is not None:
            return waited
        time.sleep(0.02)


def _flood(user_id: UUID, runs: int, *, ring_all: bool) -> float:
    """Some as the API does, until further ones are deferred, then copies of the last of them."""
    workflow_id, started = _workflow(user_id, SECONDS), time.monotonic()
    last = _queue(user_id, workflow_id, min(BATCH, runs), ring_all=ring_all)[-1]
    with session_scope() as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        copies = session.scalars(_COPY, {"id": last, "runs": runs - BATCH, "ring": ring_all}).all()
        session.execute(_HOLD, {"ids": copies, "user": user_id})
        for execution_id in copies if ring_all else ():
            enqueue(session, TaskName.DRIVE_EXECUTION, priority="low", execution_id=execution_id)
    return time.monotonic() - started


def _queue(user_id: UUID, workflow_id: UUID, runs: int, *, ring_all: bool = False) -> Sequence[UUID]:
    """As the API does."""
    with session_scope() as session:
        owner = session.get_one(User, user_id)
        queued = [executions.submit(session, owner, workflow_id) for _ in range(runs)]
        for execution in queued:
            if ring_all or not execution.deferred_at:
                enqueue(session, TaskName.DRIVE_EXECUTION, priority=execution.priority, execution_id=execution.id)
        return [execution.id for execution in queued]


def _workflow(user_id: UUID, seconds: float) -> UUID:
    node = {"id": "w", "type": "wait", "label": "W", "position": {"x": 0, "y": 0}, "config": {"seconds": seconds}}
    graph = {"nodes": [node], "connections": []}
    with session_scope() as session:
        owner = session.get_one(User, user_id)
        return workflows.create(session, owner, name="bench", description="", graph=graph, status="active").id


def _user(tier: Tier) -> UUID:
    with session_scope() as session:
        email = f"bench-{next(_numbers)}@example.com"
        user = accounts.register(session, email=email, password="bench-password", name="Bench", welcome_credits=10)
        user.subscription_tier = tier
        session.flush()
        credits.grant(session, user.id, 100_000, key=f"bench:{email}", reason="Bench", source="adjustment")
        return user.id


def _messages(env: dict[str, str]) -> int:
    with redis.Redis.from_url(env["REDIS_URL"]) as client:
        return sum(client.llen(queue) for queue in QUEUES)


@contextmanager
def worker(env: dict[str, str]) -> Iterator[None]:
    """One, as in production."""
    command = [sys.executable, "-m", "celery", "-A", "celery_config:app", "worker", "-P", "threads", "-c", "64"]
    command += ["-Q", ",".join(QUEUES), "--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
    log = open(os.environ.get("BENCH_LOG", os.devnull), "ab")  # noqa: SIM115  # as long as the process
    with log, subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log) as process:
        try:
            time.sleep(5)
            yield
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
