"""Operators pause queues for all workers, drain them, and resume them; health checks say so."""

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from manage.cli import cli
from models.db import session_scope
from models.rules.executions.states import ExecutionStatus
from models.services.operations import worker_heartbeats
from models.services.operations.worker_heartbeats import WorkerInfo
from models.tables import Execution
from tests.support import factories

LOW = "executions.low"
STILL = "1 are under way, and 1 workers have not noticed the pause."


def state(manage) -> str:
    return next(row["status"] for row in manage("queues", "depth", "--json").document if row["queue"] == LOW)


@pytest.fixture
def worker(session) -> WorkerInfo:
    found = WorkerInfo("w@host", "host:1", [LOW], 15.0)
    worker_heartbeats.report(session, found, silent=0, full=False)
    return found


def test_a_paused_queue_says_so_until_it_is_resumed(manage, worker, last_entry):
    assert state(manage) == "up"
    assert manage("queues", "pause", LOW).out.startswith(f"{LOW} is paused")
    assert last_entry("queue.paused").data["queue"] == LOW
    assert state(manage) == "paused"
    assert manage("queues", "pause", LOW).out == f"{LOW} was paused before.\n"
    assert manage("queues", "resume", LOW).out == f"{LOW} is consumed again.\n"
    assert last_entry("queue.resumed").data["queue"] == LOW
    assert manage("queues", "resume", LOW).out == f"{LOW} was not paused.\n"
    assert state(manage) == "up"


def test_a_queue_is_drained_once_workers_noticed_and_nothing_runs(shared_database):
    worker = WorkerInfo("w@host", "host:1", [LOW], 15.0)
    in_a_minute = datetime.now(UTC) + timedelta(minutes=1)
    with session_scope() as session:
        worker_heartbeats.report(session, worker, silent=0, full=False)
        run = factories.execution(session, status=ExecutionStatus.RUNNING, lease_expires_at=in_a_minute)
    answer = CliRunner().invoke(cli, ["queues", "drain", LOW, "--timeout", "0"])
    assert (answer.exit_code, answer.output) == (1, f"{LOW} is paused, but not drained: {STILL}\n")
    with session_scope() as session:
        worker_heartbeats.report(session, worker, silent=0, full=False)
        session.get_one(Execution, run.id).lease_expires_at = None
    answer = CliRunner().invoke(cli, ["queues", "drain", LOW])
    assert (answer.exit_code, answer.output) == (0, f"{LOW} is paused, and nothing of it is under way.\n")
