"""How the nodes of a run stand, and what they cost."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.services.executions import executions
from models.services.executions.node_states import NodeState
from models.tables import Execution
from tests.support import factories
from tests.support.factories import chain, node

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LOOPING = {
    "nodes": [
        node("start", "input"),
        node("each", "loop"),
        node("ask", "ai_agent", parentId="each", label="Ask the agent"),
        node("end", "output"),
    ],
    "connections": chain(node("start"), node("each"), node("end"))["connections"],
}


def states(session: Session, run: Execution) -> dict[str, NodeState]:
    return {state.node_id: state for state in executions.node_states(session, run)}


class TestNodeStates:
    def test_stand_in_the_order_of_the_graph_and_are_pending_at_first(self, session: Session) -> None:
        run = factories.execution(session, factories.workflow(session, graph=LOOPING))
        shown = executions.node_states(session, run)
        assert [(state.node_id, state.label, state.type, state.parent_id) for state in shown] == [
            ("start", "Start", "input", None),
            ("each", "Each", "loop", None),
            ("ask", "Ask the agent", "ai_agent", "each"),
            ("end", "End", "output", None),
        ]
        assert {state.status for state in shown} == {NodeStatus.PENDING}

    def test_say_what_was_recorded(self, session: Session) -> None:
        run = factories.execution(session)
        factories.ran(
            session,
            run,
            "start",
            attempt=2,
            output={"text": "hello"},
            port="true",
            credits=Decimal("0.10"),
            started_at=NOON,
            finished_at=NOON + timedelta(milliseconds=1500),
        )
        factories.ran(session, run, "end", status=NodeStatus.FAILED, error={"code": "timeout", "message": "Too slow."})
        shown = states(session, run)
        start = shown["start"]
        assert (start.status, start.attempts, start.output, start.port) == ("success", 2, {"text": "hello"}, "true")
        assert (start.credits, start.started_at, start.duration) == (Decimal("0.10"), NOON, 1.5)
        assert shown["end"].status is NodeStatus.FAILED
        assert shown["end"].error == {"code": "timeout", "message": "Too slow."}

    def test_call_an_unnamed_node_by_its_id(self, session: Session) -> None:
        graph = {"nodes": [{"id": "a", "type": "input"}, {"id": "b", "type": "output", "label": ""}], "connections": []}
        run = factories.execution(session, factories.workflow(session, graph=graph))
        assert [state.label for state in executions.node_states(session, run)] == ["a", "b"]

    def test_are_those_of_the_pinned_version(self, session: Session) -> None:
        workflow = factories.workflow(session)
        run = factories.execution(session, workflow)
        factories.version(session, workflow, graph=LOOPING)
        assert list(states(session, run)) == ["start", "end"]

    def test_count_the_iterations_of_a_loop(self, session: Session) -> None:
        run = factories.execution(session, factories.workflow(session, graph=LOOPING))
        for index in range(3):
            factories.ran(
                session,
                run,
                "ask",
                str(index),
                attempt=index + 1,
                credits=Decimal("1.10"),
                started_at=NOON + timedelta(seconds=index),
                finished_at=NOON + timedelta(seconds=index + 2),
            )
        factories.ran(session, run, "ask", "3", status=NodeStatus.RUNNING, started_at=NOON)
        ask = states(session, run)["ask"]
        assert (ask.status, ask.iterations, ask.attempts) == (NodeStatus.RUNNING, {"done": 3, "total": 4}, 7)
        assert (ask.credits, ask.started_at, ask.finished_at) == (Decimal("3.30"), NOON, None)

    @pytest.mark.parametrize(
        ("recorded", "shown"),
        [
            (["success", "success"], "success"),
            (["success", "skipped"], "success"),
            (["skipped", "skipped"], "skipped"),
            (["success", "failed"], "failed"),
            (["failed", "running"], "running"),
            (["success", "waiting"], "waiting"),
            (["success", "cancelled"], "cancelled"),
        ],
    )
    def test_sum_up_iterations_in_one_word(self, session: Session, recorded: list[str], shown: str) -> None:
        run = factories.execution(session, factories.workflow(session, graph=LOOPING))
        for index, status in enumerate(recorded):
            factories.ran(session, run, "ask", str(index), status=NodeStatus(status), error={"message": status})
        ask = states(session, run)["ask"]
        assert ask.status == shown
        assert ask.error == ({"message": "failed"} if "failed" in recorded else None)

    def test_of_a_retried_run_are_the_reused_ones_before_it_is_driven(self, session: Session) -> None:
        run = factories.execution(session, retry_of=uuid4())
        factories.ran(session, run, "start")
        run.epoch = 0
        assert states(session, run)["start"].status is NodeStatus.SUCCESS

    def test_of_ten_thousand_iterations_are_counted_by_the_database(self, session: Session) -> None:
        run = factories.execution(session, factories.workflow(session, graph=LOOPING), epoch=1)
        session.execute(
            text("""
                INSERT INTO node_executions (execution_id, node_id, path, status, attempt, credits)
                SELECT :run, 'ask', i::text, 'success', 1, 0.10 FROM generate_series(0, 9999) i
            """),
            {"run": run.id},
        )
        ask = states(session, run)["ask"]
        assert (ask.iterations, ask.credits) == ({"done": 10_000, "total": 10_000}, Decimal("1000.00"))


class TestReceipt:
    def test_adds_up(self, session: Session) -> None:
        workflow = factories.workflow(session, graph=LOOPING)
        run = factories.execution(
            session, workflow, cap="9.00", status=ExecutionStatus.SUCCESS, credits_charged=Decimal("4.40")
        )
        factories.ran(session, run, "start", credits=Decimal("0.10"))
        for index in range(3):
            factories.ran(session, run, "ask", str(index), attempt=2, credits=Decimal("1.10"))
        factories.ran(session, run, "end", status=NodeStatus.FAILED)
        receipt = executions.receipt(session, run)
        assert [
            (item["nodeId"], item["runs"], item["attempts"], item["unitPrice"], item["amount"])
            for item in receipt["items"]
        ] == [("start", 1, 1, Decimal("0.10"), Decimal("0.10")), ("ask", 3, 6, Decimal("1.10"), Decimal("3.30"))]
        assert (receipt["runFee"], receipt["total"]) == (1, Decimal("4.40"))
        assert (receipt["held"], receipt["released"], receipt["final"]) == (9, Decimal("4.60"), True)
        assert receipt["priceList"] == run.price_list

    def test_of_a_run_that_goes_on_is_not_final(self, session: Session) -> None:
        receipt = executions.receipt(session, factories.execution(session))
        assert (receipt["items"], receipt["total"], receipt["released"], receipt["final"]) == ([], 0, 0, False)

    def test_has_a_line_for_every_charge_and_they_add_up_too(self, session: Session) -> None:
        workflow = factories.workflow(session, graph=LOOPING)
        run = factories.execution(
            session, workflow, cap="9.00", status=ExecutionStatus.SUCCESS, credits_charged=Decimal("4.40")
        )
        factories.ran(session, run, "start", credits=Decimal("0.10"), finished_at=NOON)
        for index in range(3):
            factories.ran(session, run, "ask", str(index), attempt=index + 1, credits=Decimal("1.10"))
        factories.ran(session, run, "ask", "3", status=NodeStatus.FAILED)
        lines = executions.lines(session, run)
        assert [(line.node_id, line.type, line.path, line.attempts, line.price) for line in lines] == [
            ("ask", "ai_agent", "0", 1, Decimal("1.10")),
            ("ask", "ai_agent", "1", 2, Decimal("1.10")),
            ("ask", "ai_agent", "2", 3, Decimal("1.10")),
            ("start", "input", "", 1, Decimal("0.10")),
        ]
        receipt = executions.receipt(session, run)
        assert sum(line.price for line in lines) + receipt["runFee"] == receipt["total"] == Decimal("4.40")
        assert executions.lines(session, run, limit=2, after=("ask", "1"))[0].path == "2"

    def test_of_a_running_run_never_counts_more_for_its_nodes_than_in_all(self, session: Session) -> None:
        run = factories.execution(session, status=ExecutionStatus.RUNNING)
        factories.ran(session, run, "start", credits=Decimal("0.10"))  # committed after the caller had read the run
        charge = update(Execution).where(Execution.id == run.id).values(credits_charged=Decimal("0.10"))
        session.execute(charge.execution_options(synchronize_session=False))
        receipt = executions.receipt(session, run)
        assert (receipt["runFee"], receipt["total"]) == (0, Decimal("0.10"))
