"""`make bench-fairness`: how long one user's flood delays another user's first run, and runs of a lower priority.

Real processes: PostgreSQL with fsync, Redis, one worker with as many threads as in production. One user queues
thousands of runs that take a while, another user queues one; the database measures the time until the latter starts.
"""

import argparse
import itertools
import time
from collections.abc import Sequence
from uuid import UUID

import redis
from sqlalchemy import text

from bench.arguments import parse
from bench.served import servers
from bench.workers import worker
from models.db import session_scope
from models.rules.prices.pricing import Priority, Tier
from models.services.accounts import accounts
from models.services.credits import ledger
from models.services.executions import executions
from models.services.orchestration.redelivery import TaskTarget
from models.services.workflows import workflows
from models.tables import User
from tasks.queue import enqueue_run, target_of

_WAITED = text("SELECT extract(epoch FROM started_at - created_at)::float FROM workflow_executions WHERE id = :id")

_COPY = text("""
    INSERT INTO workflow_executions (id, user_id, workflow_id, version_id, workflow_name, status, priority, price_list,
                                     credits_cap, nodes_total, last_seq, deferred_at, enqueued_at)
    SELECT gen_random_uuid(), user_id, workflow_id, version_id, workflow_name, 'queued', priority, price_list,
           credits_cap, nodes_total, 1, CASE WHEN NOT :enqueue THEN now() END, CASE WHEN :enqueue THEN now() END
      FROM workflow_executions, generate_series(1, :runs) WHERE id = :id RETURNING id
""")
_HOLD = text("""
    WITH held AS (INSERT INTO credit_holds (execution_id, user_id, amount, status)
                  SELECT id, user_id, credits_cap, 'held' FROM workflow_executions WHERE id = ANY(:ids)
                  RETURNING amount)
    UPDATE credits SET held = held + (SELECT coalesce(sum(amount), 0) FROM held) WHERE user_id = :user
""")

BATCH = 50
SECONDS = 0.2  # duration of each run of a flood
QUEUES = ("executions.high", "executions.normal", "executions.low")

_numbers = itertools.count(1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="One user's flood, and another's first run.")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--beside", type=int, default=300, help="runs of each of three further users")
    parser.add_argument(
        "--enqueue-all", action="store_true", help="enqueue every run of the flood, as if none was deferred"
    )
    args = parse(parser, {"runs": 200, "beside": 50})
    with servers() as env, worker(env, "celery_config:app", ",".join(QUEUES)):
        _print("an idle worker", _first_run(_user(Tier.FREE)))
        flood = _user(Tier.FREE)
        seconds = _flood(flood, args.runs, enqueue_all=args.enqueue_all)
        print(f"{args.runs} runs of one user queued in {seconds:.0f} s; the broker has {_messages(env)} task messages.")
        _print("behind them, another user of the same tier", _first_run(_user(Tier.FREE)))
        _print("behind them, a user of the highest tier", _first_run(_user(Tier.ENTERPRISE)))
        for _ in range(3):
            _flood(_user(Tier.ENTERPRISE), args.beside, enqueue_all=True)
        print(f"{3 * args.beside} runs of three users of the highest tier besides: {_messages(env)} task messages.")
        _print("behind them, a user of the lowest tier", _first_run(_user(Tier.FREE)))


def _print(what: str, seconds: float) -> None:
    print(f"  {what:50}{seconds:8.2f} s until it starts")


def _first_run(user_id: UUID) -> float:
    """Queue one run; return the seconds until it started."""
    execution_id = _queue(user_id, _workflow(user_id, 0), 1)[0]
    while True:
        with session_scope() as session:
            waited: float | None = session.scalar(_WAITED, {"id": execution_id})
        if waited is not None:
            return waited
        time.sleep(0.02)


def _flood(user_id: UUID, runs: int, *, enqueue_all: bool) -> float:
    """Queue runs as the API does until further ones are deferred, then copies of the last one."""
    workflow_id, started = _workflow(user_id, SECONDS), time.monotonic()
    last = _queue(user_id, workflow_id, min(BATCH, runs), enqueue_all=enqueue_all)[-1]
    with session_scope() as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        copies = session.scalars(_COPY, {"id": last, "runs": max(runs - BATCH, 0), "enqueue": enqueue_all}).all()
        session.execute(_HOLD, {"ids": copies, "user": user_id})
        for execution_id in copies if enqueue_all else ():
            enqueue_run(session, TaskTarget(execution_id, Priority.LOW, workflow_id))
    return time.monotonic() - started


def _queue(user_id: UUID, workflow_id: UUID, runs: int, *, enqueue_all: bool = False) -> Sequence[UUID]:
    """Queue runs as the API does."""
    with session_scope() as session:
        owner = session.get_one(User, user_id)
        queued = [executions.submit(session, owner, workflow_id) for _ in range(runs)]
        for execution in queued:
            if enqueue_all or not execution.deferred_at:
                enqueue_run(session, target_of(execution))
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
        user = accounts.register(session, email=email, password_hash="!", name="Bench")
        user.subscription_tier = tier
        session.flush()
        ledger.grant(session, user.id, 100_000, key=f"bench:{email}", reason="Bench", source="adjustment")
        return user.id


def _messages(env: dict[str, str]) -> int:
    with redis.Redis.from_url(env["REDIS_URL"]) as client:
        return sum(client.llen(queue) for queue in QUEUES)


if __name__ == "__main__":
    main()
