"""`make bench-scaling`: what a run takes of that which all workers share, and how fast one wallet is.

A worker is added by starting it; the database, its log, Redis and single rows are not. So this counts, for a run of ten
nodes: bytes of the log and of tables, commits, commands of Redis; the connections of a worker; and how many runs a
second can be submitted by clients that share one wallet, beside as many that have one each.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from typing import Any
from uuid import UUID

import redis
from sqlalchemy import text

from bench.arguments import parse
from bench.engine import QUEUES, diamond, our_engine
from bench.served import servers
from bench.workers import new_user, no_op, worker
from models.db import session_scope
from models.rules.executions.states import WorkflowStatus
from models.services.executions import executions
from models.services.workflows import workflows
from models.tables import User

CLIENTS = 8
_SHARED = text("""
    SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS log_bytes,
           (SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r') AS table_bytes,
           (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS commits
""")
_CONNECTIONS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'agentforge' AND pid <> pg_backend_pid()"
)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench-scaling", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="runs of ten nodes")
    parser.add_argument("--seconds", type=float, default=5, help="of submitting, for each number of wallets")
    args = parse(parser, {"runs": 40, "seconds": 0.5})
    with servers() as env:
        _count(env, args.runs)
        print(f"\n{CLIENTS} clients submit runs, runs/s")
        alone = _submitted_per_second(1, args.seconds)
        apart = _submitted_per_second(CLIENTS, args.seconds)
        print(f"{'one wallet':36}{alone:9.1f}\n{'a wallet each':36}{apart:9.1f}{apart / alone:8.2f} of one wallet")
    return 0


def _count(env: dict[str, str], runs: int) -> None:
    with worker(env, "celery_config:app", QUEUES) as process:
        engine = our_engine([process])
        graph = diamond(no_op)
        engine.measure(graph, 20)
        before, commands, began = _shared(), _commands(env), time.monotonic()
        measured = engine.measure(graph, runs)
        time.sleep(1.5)  # statistics of transactions are written once in a second
        after = {name: value - before[name] for name, value in _shared().items()}
        seconds = time.monotonic() - began
        after["redis commands"] = _commands(env) - commands
        after["worker CPU, ms"] = 1000 * measured.cpu
        print(f"\n{runs} runs of ten nodes that do nothing, one worker, {seconds:.0f} s; for each run")
        for name, total in after.items():
            print(f"{name.replace('_', ' '):36}{total / runs:9.1f}")
        with session_scope() as session:
            print(f"{'connections of this worker and us':36}{session.scalar(_CONNECTIONS):9d}")


def _shared() -> dict[str, Any]:
    with session_scope() as session:
        session.execute(text("SELECT pg_stat_clear_snapshot()"))
        return {name: float(value) for name, value in session.execute(_SHARED).one()._mapping.items()}


def _commands(env: dict[str, str]) -> int:
    with redis.Redis.from_url(env["REDIS_URL"]) as client:
        return int(client.info("stats")["total_commands_processed"])


def _submitted_per_second(wallets: int, seconds: float) -> float:
    """By so many clients at once, who share so many wallets."""
    owned = [_owned() for _ in range(wallets)]
    with _for(seconds) as is_time, ThreadPoolExecutor(CLIENTS) as pool:
        shares = zip(range(CLIENTS), cycle(owned), strict=False)
        return sum(pool.map(lambda share: _submit_while(is_time, *share[1]), shares)) / seconds


def _owned() -> tuple[UUID, UUID]:
    user_id = new_user()
    with session_scope() as session:
        owner = session.get_one(User, user_id)
        made = workflows.create(
            session, owner, name="bench", description="", graph=diamond(no_op), status=WorkflowStatus.ACTIVE
        )
        return user_id, made.id


def _submit_while(is_time: Callable[[], bool], user_id: UUID, workflow_id: UUID) -> int:
    number = 0
    while is_time():
        with session_scope() as session:
            executions.submit(session, session.get_one(User, user_id), workflow_id)
        number += 1
    return number


@contextmanager
def _for(seconds: float) -> Iterator[Callable[[], bool]]:
    until = time.monotonic() + seconds
    yield lambda: time.monotonic() < until


if __name__ == "__main__":
    raise SystemExit(main())
