"""Runs over HTTP: what the app reads of them, and how they are stopped."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, text, update

from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.rules.prices.pricing import PRICE_LIST
from models.services.executions import retention
from models.services.operations import worker_heartbeats
from models.services.operations.worker_heartbeats import WorkerInfo
from models.tables import CreditHold, Execution, ExecutionEvent, NodeExecution
from tests.support.api.graphs import workflow

READ_BY_THE_APP = {
    "id",
    "status",
    "progress",
    "nodesExecuted",
    "duration",
    "startTime",
    "workflowName",
    "error",
    "output",
    "creditsCharged",
    "nodes",
}


@pytest.fixture
def run(client) -> str:
    """A queued run of the user's."""
    workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
    return client.post(f"/workflows/{workflow_id}/execute", json={"input": {"n": 1}}).json["id"]


@pytest.fixture
def finished(session, run) -> str:
    """The run, failed three and a half seconds after its start."""
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    session.execute(
        update(Execution)
        .where(Execution.id == run)
        .values(
            status=ExecutionStatus.FAILED,
            started_at=started,
            finished_at=started + timedelta(seconds=3.5),
            error={"code": "timeout", "message": "The node did not answer.", "nodeId": "out"},
            progress=50,
            nodes_executed=1,
            last_seq=7,
        )
    )
    session.add(
        NodeExecution(execution_id=UUID(run), node_id="in", status=NodeStatus.SUCCESS, attempt=1, output={"n": 1})
    )
    session.commit()
    return run


class TestReading:
    def test_one_that_is_queued_shows_its_position_and_wait_status(self, client, run, session):
        worker_heartbeats.report(
            session, WorkerInfo("one@host", "host:1", ["executions.low"], 15), silent=0, full=False
        )
        session.commit()
        answer = client.get(f"/executions/{run}")
        assert answer.json["queuePosition"] == 1
        assert answer.json["waitingFor"]["type"] == "queue"
        assert answer.json["waitingFor"]["message"] == "Number 1 in the queue of priority low."
        listed = client.get("/executions").json["executions"][0]["waitingFor"]
        assert listed == {"type": "queue", "message": "Waits in the queue for a worker."}
        session.execute(text("DELETE FROM workers"))
        session.commit()
        changed = client.get(f"/executions/{run}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (changed.status_code, changed.json["waitingFor"]["type"]) == (200, "workers")

    def test_a_queued_run_has_every_field_that_the_app_reads(self, client, run):
        shown = client.get(f"/api/executions/{run}").json
        assert set(shown) >= READ_BY_THE_APP
        assert (shown["id"], shown["status"], shown["progress"]) == (run, "queued", 0)
        assert (shown["nodesExecuted"], shown["creditsCharged"]) == (0, 0)
        assert shown["workflowName"] == "Echo"
        assert shown["duration"] is None
        assert shown["startTime"].endswith("Z")
        assert shown["error"] is None
        assert shown["input"] == {"n": 1}
        assert [(item["id"], item["status"]) for item in shown["nodes"]] == [("in", "pending"), ("out", "pending")]

    def test_a_finished_run_shows_its_result(self, client, finished):
        shown = client.get(f"/executions/{finished}").json
        assert (shown["status"], shown["progress"], shown["nodesExecuted"], shown["seq"]) == ("failed", 50, 1, 7)
        assert shown["duration"] == 3.5
        assert (shown["startTime"], shown["endTime"]) == ("2026-01-02T03:04:05Z", "2026-01-02T03:04:08.500000Z")
        assert shown["error"] == "The node did not answer."
        assert shown["errorDetails"]["code"] == "timeout"
        assert shown["nodes"][0]["output"] == {"n": 1}
        assert shown["receipt"]["final"] is True

    def test_it_is_sent_again_only_when_it_changed(self, client, session, run):
        first = client.get(f"/executions/{run}")
        known = {"If-None-Match": first.headers["ETag"]}
        assert first.headers["ETag"].startswith('W/"')
        again = client.get(f"/executions/{run}", headers=known)
        assert (again.status_code, again.data) == (304, b"")
        session.execute(update(Execution).where(Execution.id == run).values(last_seq=2))
        session.commit()
        assert client.get(f"/executions/{run}", headers=known).status_code == 200

    @pytest.mark.parametrize("tags", ['""', '"", ""', "nonsense", "*"])
    def test_a_tag_that_is_none_breaks_nothing(self, client, run, tags):
        answer = client.get(f"/executions/{run}?wait=1", headers={"If-None-Match": tags})
        assert answer.status_code in (200, 304)

    def test_an_unknown_one_is_not_found(self, client):
        for path in ("", "/logs", "/receipt"):
            assert client.get(f"/executions/{uuid4()}{path}").status_code == 404


class TestListing:
    def test_by_status_and_by_ids(self, client, run, sign_in, other):
        assert [item["id"] for item in client.get("/executions?status=queued").json["executions"]] == [run]
        assert client.get("/executions?status=success").json["executions"] == []
        found = client.get(f"/executions?ids={run},{uuid4()}").json
        assert (found["count"], found["executions"][0]["id"]) == (1, run)
        assert sign_in(other).get(f"/executions?ids={run}").json["executions"] == []

    @pytest.mark.parametrize(
        ("query", "field"),
        [("status=done", "status"), ("ids=7", "ids"), ("ids=" + "7," * 101, "ids")],
        ids=lambda v: v[:9],
    )
    def test_names_the_argument_that_is_wrong(self, client, query, field):
        answer = client.get(f"/executions?{query}")
        assert (answer.status_code, [item["field"] for item in answer.json["errors"]]) == (422, [field])


class TestLogs:
    def test_come_in_order_and_continue_after_the_last_one_seen(self, client, session, run):
        for seq in (2, 3):
            event = ExecutionEvent(
                execution_id=UUID(run), seq=seq, type="node.success", message=f"Event {seq}", node_id="in"
            )
            session.add(event)
        session.commit()
        lines = client.get(f"/executions/{run}/logs").json["logs"]
        assert [line["seq"] for line in lines] == [1, 2, 3]
        assert set(lines[1]) >= {"seq", "at", "level", "nodeId", "message", "data"}
        assert lines[1]["nodeId"] == "in"
        rest = client.get(f"/executions/{run}/logs?after=2&limit=1").json["logs"]
        assert [line["seq"] for line in rest] == [3]


class TestReceipt:
    def test_lists_every_charge_page_by_page_and_adds_up(self, client, session, finished):
        session.execute(
            text("""
                INSERT INTO node_executions (execution_id, node_id, path, status, attempt, credits, finished_at)
                SELECT :run, 'out', i::text, 'success', 2, 0.01, now() FROM generate_series(1, 20) i
            """),
            {"run": finished},
        )
        session.execute(update(Execution).where(Execution.id == finished).values(credits_charged="1.20"))
        session.commit()
        lines, asked = [], f"/executions/{finished}/receipt?limit=8"
        page = client.get(asked).json
        while page["nextCursor"]:
            lines += page["lines"]
            page = client.get(f"{asked}&cursor={page['nextCursor']}").json
        lines += page["lines"]
        assert (len(lines), len({line["path"] for line in lines})) == (20, 20)
        assert set(lines[0]) == {
            "nodeId",
            "label",
            "type",
            "path",
            "attempts",
            "price",
            "chargedAt",
            "status",
            "reason",
        }
        assert (page["executionId"], page["priceList"], page["final"]) == (finished, PRICE_LIST, True)
        assert sum(line["price"] for line in lines) + page["runFee"] == pytest.approx(page["total"]) == 1.2
        assert [(item["runs"], item["attempts"], item["amount"]) for item in page["items"]] == [(20, 40, 0.2)]

    def test_is_all_that_is_left_of_a_run_whose_history_was_removed(self, client, session, finished, sign_in, other):
        session.execute(update(CreditHold).values(status="released", settled_at=func.now()))
        before = client.get(f"/executions/{finished}/receipt").json
        assert before["linesExpired"] is False
        retention.expire(session)
        while retention.clear(session):
            pass
        session.commit()
        after = client.get(f"/executions/{finished}/receipt").json
        assert after == before | {"linesExpired": True, "lines": [], "count": 0, "nextCursor": None}
        for path in ("", "/logs", "/events"):
            answer = client.get(f"/executions/{finished}{path}")
            assert (answer.status_code, answer.json["code"]) == (404, "history_expired")
        answer = client.post(f"/executions/{finished}/retry", headers={"Idempotency-Key": "again"})
        assert answer.json["code"] == "history_expired"
        answer = sign_in(other).get(f"/executions/{finished}/receipt")
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")

    @pytest.mark.parametrize("cursor", ["!", "AA", "é"])
    def test_refuses_a_cursor_that_is_none_of_ours(self, client, run, cursor):
        answer = client.get(f"/executions/{run}/receipt", query_string={"cursor": cursor})
        assert answer.status_code == 422


class TestCancelling:
    def test_stops_a_run_and_may_be_repeated(self, client, run):
        first = client.post(f"/executions/{run}/cancel")
        assert (first.status_code, first.json["status"]) == (202, "cancelled")
        assert client.post(f"/executions/{run}/cancel", json={}).status_code == 202
        assert client.get("/credits/balance").json["held"] == 0

    def test_is_too_late_after_the_end(self, client, finished):
        assert client.post(f"/executions/{finished}/cancel").status_code == 409


class TestTrees:
    @pytest.fixture
    def child(self, session, run) -> str:
        """A run that a node of `run` started."""
        parent = session.get_one(Execution, UUID(run))
        reference = {"type": "subworkflow", "childExecutionId": str(uuid4())}
        row = Execution(
            id=UUID(reference["childExecutionId"]),
            **{name: getattr(parent, name) for name in ("user_id", "workflow_id", "version_id", "workflow_name")},
            status=ExecutionStatus.QUEUED,
            priority=parent.priority,
            price_list=PRICE_LIST,
            credits_cap=1,
            nodes_total=2,
            parent_execution_id=parent.id,
            parent_node_id="in",
            parent_path="",
            parent_attempt=1,
            depth=1,
        )
        waits = NodeExecution(execution_id=parent.id, node_id="in", status=NodeStatus.WAITING, external_ref=reference)
        parent.epoch = 1  # somebody drives it
        session.add_all([row, waits])
        session.commit()
        return reference["childExecutionId"]

    def test_a_child_names_its_parent_and_the_parents_node_its_child(self, client, run, child):
        shown = client.get(f"/executions/{child}").json
        assert (shown["parentExecutionId"], shown["parentNodeId"], shown["parentPath"]) == (run, "in", "")
        parent = client.get(f"/executions/{run}").json
        assert parent["parentExecutionId"] is None
        assert [node["childExecutionId"] for node in parent["nodes"]] == [child, None]

    def test_the_children_of_a_run_are_listed(self, client, run, child):
        listed = client.get(f"/executions?parentExecutionId={run}").json["executions"]
        assert [item["id"] for item in listed] == [child]
        assert client.get(f"/executions?parentExecutionId={child}").json["executions"] == []
        assert client.get("/executions?parentExecutionId=me").status_code == 422


class TestRunningAgain:
    def test_with_an_edited_later_node_says_what_it_saved(self, client, finished):
        workflow_id = client.get(f"/executions/{finished}").json["workflowId"]
        graph = workflow()
        graph["nodes"][-1]["config"] = {"value": "edited"}
        assert client.put(f"/workflows/{workflow_id}", json=graph).status_code == 200
        answer = client.post(f"/executions/{finished}/retry", json={"version": "latest"})
        assert answer.status_code == 202
        assert answer.json["saved"] == {"nodes": 1, "credits": 0}
        retried = client.get(f"/executions/{answer.json['id']}").json
        assert (retried["workflowVersion"], retried["retryOf"]) == (2, finished)
        original = client.get(f"/executions/{finished}").json
        assert (original["workflowVersion"], original["retryOf"]) == (1, None)

    @pytest.mark.parametrize("version", ["newest", 0, -1, 1.5, True, 2**40, []])
    def test_refuses_what_is_no_version(self, client, finished, version):
        answer = client.post(f"/executions/{finished}/retry", json={"version": version})
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "version")

    def test_refuses_a_version_that_there_is_not(self, client, finished):
        answer = client.post(f"/executions/{finished}/retry", json={"version": 9})
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "version")


class TestWhatARunIsGiven:
    def test_is_kept_exactly_or_as_text(self, client, session):
        workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
        raw = b'{"input": {"id": 9007199254740993, "text": "half \\ud83d a\\u0000b", "more": 123456789012345678901234}}'
        answer = client.post(f"/workflows/{workflow_id}/execute", data=raw, content_type="application/json")
        assert answer.status_code == 202
        assert session.get_one(Execution, UUID(answer.json["id"])).input == {
            "id": "9007199254740993",
            "text": "half \ufffd a\ufffdb",
            "more": "123456789012345678901234",
        }
