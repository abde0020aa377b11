"""ETags of runs: whatever a client is shown, a change of it is never hidden behind a 304."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.db import session_scope
from models.rules.executions.schedule import Step
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.services.executions import approvals
from models.services.orchestration import holds, journal, leases, redelivery
from models.services.orchestration.journal import NodeRow, Progress
from models.tables import Execution, User, Workflow
from tests.api.conftest import token_of
from tests.support import factories

NOW = datetime.now(UTC)
CALL = factories.node("call", "api_call", config={"url": "http://x/", "retries": 4})
SUB = factories.node("sub", "subworkflow", config={"workflowId": str(UUID(int=1))})
BUDGET = {"type": "budget", "message": "Waits for credits.", "cap": 1.2, "types": ["budget"]}


@pytest.fixture
def workflow(shared_database: str, redis_url: str) -> Workflow:
    with session_scope() as session:
        return factories.workflow(session, graph=factories.chain(CALL, SUB))


@pytest.fixture
def client(app: Flask, workflow: Workflow) -> FlaskClient:
    """A client of the workflow's owner."""
    with session_scope() as session:
        token = token_of(app, session.get_one(User, workflow.user_id))
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def add(workflow: Workflow, age: float = 0, **columns: Any) -> Execution:
    """A run that was submitted so many seconds ago; queued, unless `status` says otherwise."""
    with session_scope() as session:
        mine = session.get_one(Workflow, workflow.id)
        return factories.execution(session, mine, created_at=NOW - timedelta(seconds=age), **columns)


@pytest.fixture
def driven(workflow: Workflow) -> Execution:
    """A run that a worker has just claimed."""
    run = add(workflow)
    with session_scope() as session:
        assert leases.claim(session, run.id, owner="host:1", seconds=3600)
    return run


def alone(run: Execution) -> str:
    return f"/executions/{run.id}"


def listed(run: Execution) -> str:
    return f"/executions?ids={run.id}"


class Known:
    """The tags of runs that a client knows, by address."""

    def __init__(self, client: FlaskClient, path: Callable[[Execution], str], *runs: Execution) -> None:
        self._client = client
        self._tags = {path(run): client.get(path(run)).headers["ETag"] for run in runs}
        assert self.changed() == [False for _ in runs]

    def changed(self) -> list[bool]:
        """Whether each of them has changed."""
        answers = (self._client.get(path, headers={"If-None-Match": tag}) for path, tag in self._tags.items())
        return [answer.status_code != 304 for answer in answers]


class TestAChangeIsTold:
    def test_of_an_attempt_that_begins_without_an_event(self, client, driven):
        known = Known(client, alone, driven)
        row = NodeRow(Step("call", ""), NodeStatus.RUNNING, 2, NOW)
        with session_scope() as session:
            journal.record(session, [Progress(driven.id, 1, Decimal(0), succeeded=0, seq=1, percent=0, nodes=[row])])
        assert known.changed() == [True]

    def test_of_a_runs_position_among_its_owners_runs(self, client, workflow):
        first, second, third = (add(workflow, age, deferred_at=NOW) for age in (3, 2, 1))
        known = Known(client, alone, first, second, third)
        client.post(f"/executions/{second.id}/cancel")
        assert known.changed() == [False, True, True]
        assert client.get(alone(third)).json["waitingFor"]["ahead"] == 1

    def test_of_its_deferral(self, client, workflow):
        run = add(workflow, deferred_at=NOW)
        known = Known(client, listed, run)
        with session_scope() as session:
            assert redelivery.unclaimed_slots(session)
        assert known.changed() == [True]
        assert client.get(listed(run)).json["executions"][0]["waitingFor"]["type"] == "queue"

    def test_of_a_slot_that_was_not_free(self, client, workflow, driven):
        while add_driven(workflow):
            pass
        run = add(workflow)
        known = Known(client, listed, run)
        with session_scope() as session:
            assert leases.claim(session, run.id, owner="host:1", seconds=3600) is None
        assert known.changed() == [True]
        assert client.get(listed(run)).json["executions"][0]["waitingFor"]["type"] == "concurrency_limit"

    def test_of_its_cap(self, client, workflow):
        run = add(workflow, status=ExecutionStatus.WAITING, waiting_for=BUDGET)
        known = Known(client, listed, run)
        with session_scope() as session:
            owner = session.get_one(User, workflow.user_id)
            approvals.resume(session, owner, run.id, max_credits=Decimal(5))
        assert known.changed() == [True]

    def test_of_what_its_children_hold_and_cost(self, client, workflow, driven):
        step = {"parent_execution_id": driven.id, "parent_node_id": "sub", "parent_path": "", "parent_attempt": 1}
        known = Known(client, listed, driven)
        child = add(workflow, depth=1, held=False, **step)
        with session_scope() as session:
            holds.reserve_for_child(session, driven.id, child.id, Decimal("0.50"))
        assert known.changed() == [True]
        known = Known(client, alone, driven)
        with session_scope() as session:
            session.get_one(Execution, child.id).credits_charged = Decimal("0.10")
        assert known.changed() == [True]
        assert client.get(alone(driven)).json["receipt"]["children"] == {"runs": 1, "amount": 0.1}


def add_driven(workflow: Workflow) -> bool:
    """Another run that a worker drives, if the owner's tier allows one more."""
    run = add(workflow)
    with session_scope() as session:
        return leases.claim(session, run.id, owner="host:1", seconds=3600) is not None


def test_a_heartbeat_is_no_change(client, driven):
    known = Known(client, alone, driven), Known(client, listed, driven)
    with session_scope() as session:
        assert leases.renew(session, [(driven.id, 1)], seconds=7200)
    assert [one.changed() for one in known] == [[False], [False]]


def test_times_are_compared_with_the_clock_that_set_them(client, driven, monkeypatch):
    class Ahead(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=2)

    monkeypatch.setattr("models.services.executions.wait_status.datetime", Ahead)
    assert client.get(alone(driven)).json["waitingFor"]["type"] == "nodes"
