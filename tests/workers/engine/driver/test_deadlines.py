"""A run that is driven ends at its deadline, whatever it does then."""

import time
from typing import Any
from uuid import UUID

import pytest

from models.db import session_scope
from models.services.orchestration import leases
from tests.support.engine.bench import Bench, call, transform
from tests.support.factories import node


def overdue_soon(bench: Bench, execution_id: UUID) -> None:
    bench.sql("UPDATE workflow_executions SET deadline_at = now() WHERE id = :id", id=execution_id)


class TestARunPastItsDeadline:
    def test_stops_the_call_under_way_and_keeps_what_was_finished(self, bench: Bench):
        bench.world.on("b", bench.world.hang)
        execution_id = bench.submit([transform("a", "1"), call("b"), call("c")], "a>b", "b>c")
        left = bench.in_background(execution_id)
        assert bench.world.arrived.wait(10)
        overdue_soon(bench, execution_id)
        left()
        run, nodes = bench.execution(execution_id), bench.nodes(execution_id)
        assert (run.status, run.error["code"]) == ("failed", "run_timed_out")
        assert (nodes["a"].output, nodes["b"].status, "c" in nodes) == (1, "cancelled", False)
        assert bench.world.attempts[0].cancel.is_set
        assert str(run.credits_charged) == "1.20"  # the call was under way
        assert bench.sql("SELECT held FROM credits WHERE user_id = :id", id=bench.user_id) == 0

    @pytest.mark.parametrize(
        "waiting",
        [
            node("w", "wait", config={"seconds": 8}),
            call("w", retry={"maxAttempts": 9, "initialInterval": 15, "maxInterval": 15}),
        ],
    )
    def test_does_not_sit_out_a_short_pause(self, bench: Bench, waiting: dict[str, Any]):
        bench.world.on("w", bench.world.fail(9))
        execution_id = bench.submit([waiting])
        left = bench.in_background(execution_id)
        while not any(event.type in ("node.waiting", "node.retrying") for event in bench.events(execution_id)):
            time.sleep(0.01)
        overdue_soon(bench, execution_id)
        left()
        run = bench.execution(execution_id)
        assert (run.status, run.error["code"], bench.nodes(execution_id)["w"].status) == (
            "failed",
            "run_timed_out",
            "cancelled",
        )

    def test_that_its_driver_left_behind_is_ended_by_the_next_one(self, bench: Bench):
        execution_id = bench.submit([call("a")])
        with session_scope() as session:
            assert leases.claim(session, execution_id, owner="doomed", seconds=-1)
        overdue_soon(bench, execution_id)
        bench.runtime.drive(execution_id)
        run = bench.execution(execution_id)
        assert (run.status, run.error["code"], bench.world.calls["a"]) == ("failed", "run_timed_out", 0)
