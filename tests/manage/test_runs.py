"""Operators list runs of all users by filter, ask why one waits, cancel them and retry them."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.tables import Execution
from tasks.queue import TaskName
from tests.support import factories

BROKEN = {"code": "provider_error", "message": "The provider failed."}


@pytest.fixture
def workflow(session):
    return factories.workflow(session)


@pytest.fixture
def failed(session, workflow):
    return factories.execution(session, workflow, status=ExecutionStatus.FAILED, error=BROKEN)


def ids(answer):
    return {one["id"] for one in answer.document}


def test_runs_are_listed_by_filter(session, manage, workflow, failed):
    queued = factories.execution(session, workflow)
    other = factories.execution(session, lease_owner="host:1")
    everything = {str(failed.id), str(queued.id), str(other.id)}
    assert everything <= ids(manage("runs", "list", "--json"))
    assert ids(manage("runs", "list", "--user", workflow.user_id, "--json")) == {str(failed.id), str(queued.id)}
    assert ids(manage("runs", "list", "--workflow", workflow.id, "--status", "queued", "--json")) == {str(queued.id)}
    assert ids(manage("runs", "list", "--worker", "host:1", "--json")) == {str(other.id)}
    assert str(failed.id) in ids(manage("runs", "list", "--error", "provider_error", "--json"))
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    assert ids(manage("runs", "list", "--since", tomorrow, "--json")) == set()
    assert everything <= ids(manage("runs", "list", "--until", tomorrow, "--json"))
    assert manage("runs", "list", "--since", "yesterday").status == 2


def test_a_run_is_shown_without_what_belongs_to_its_owner(session, manage, workflow):
    run = factories.execution(session, workflow, input={"secret": "mine"})
    shown = manage("runs", "show", run.id, "--json")
    assert shown.document["status"] == "queued"
    assert {one["node"] for one in shown.document["nodes"]} == {node["id"] for node in workflow.latest.graph["nodes"]}
    assert shown.document["events"][0]["type"] == "execution.queued"
    assert "mine" not in shown.out
    assert manage("runs", "show", uuid4()).err == "Error: There is no such run.\n"


def test_why_a_run_failed_names_the_node(session, manage, failed, workflow):
    node = workflow.latest.graph["nodes"][0]["id"]
    factories.ran(session, failed, node, status=NodeStatus.FAILED, error=BROKEN)
    answer = manage("runs", "why", failed.id)
    assert answer.out == f"failed: The provider failed.\nnode {node}: The provider failed.\n"
    assert manage("runs", "why", failed.id, "--json").document["nodes"] == {node: BROKEN}


def test_why_a_run_is_queued_has_its_position(session, manage, workflow):
    run = factories.execution(session, workflow)
    document = manage("runs", "why", run.id, "--json").document
    assert document["queuePosition"] == 1
    assert document["reason"]


def test_runs_are_cancelled_by_filter_after_a_yes(session, manage, workflow, failed, last_entry):
    queued = [factories.execution(session, workflow) for _ in range(3)]
    chosen = ("runs", "cancel", "--workflow", workflow.id, "--status", "queued")
    assert manage(*chosen, said="n\n").status == 1
    assert manage(*chosen, "--yes", "--json").document == {"done": 3, "refused": {}}
    assert {session.get_one(Execution, run.id).status for run in queued} == {ExecutionStatus.CANCELLED}
    assert last_entry().action == "execution.cancelled"
    assert "operator" in last_entry().data
    refused = manage("runs", "cancel", failed.id, "--yes", "--json")
    assert (refused.status, list(refused.document["refused"])) == (1, [str(failed.id)])


def test_failed_runs_are_retried(session, manage, failed, workflow, sent, last_entry):
    assert manage("runs", "retry", "--workflow", workflow.id, "--error", "provider_error", "--yes").status == 0
    new = last_entry().data["retriedAs"]
    assert session.get_one(Execution, new).retry_of == failed.id
    assert (sent[-1].task, sent[-1].ids) == (TaskName.DRIVE_EXECUTION, {"execution_id": new})


@pytest.mark.parametrize("arguments", [(), (str(uuid4()), "--status", "failed")])
def test_runs_are_chosen_in_one_way(manage, arguments):
    assert manage("runs", "cancel", *arguments, "--yes").status == 2
