"""A run keeps a bounded number of bytes, whatever they are kept as, and knows how many."""

import random

import pytest
from sqlalchemy import text

from models.db import session_scope
from models.services.credits import storage
from models.services.orchestration import run_size
from tests.support.engine.bench import Bench, call, transform
from tests.support.factories import node
from workers.engine.journal import progress_buffer
from workers.engine.values import outputs

KIB = 1024
BIG = random.Random(1).randbytes(100 * KIB).hex()  # 200 KiB

STORED = """
    SELECT (SELECT sum(octet_length(coalesce(output::text, '')) + octet_length(coalesce(error::text, ''))
                       + octet_length(coalesce(external_ref::text, ''))) FROM node_executions WHERE execution_id = :id)
         + (SELECT sum(octet_length(message) + octet_length(coalesce(data::text, '')))
              FROM execution_events WHERE execution_id = :id)
         + (SELECT octet_length(coalesce(input::text, '')) + octet_length(coalesce(output::text, ''))
              FROM workflow_executions WHERE id = :id)
"""


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> int:
    """A MiB, so that the tests write little."""
    for module in (run_size, outputs, progress_buffer):
        monkeypatch.setattr(module, "MAX_RUN_BYTES", 1024 * KIB)
    return 1024 * KIB


def stored(bench: Bench, run_id: object) -> int:
    return int(bench.sql("SELECT stored_bytes FROM workflow_executions WHERE id = :id", id=run_id))


def failing(node_id: str) -> dict[str, object]:
    return call(node_id, onError="continue", defaultValue=BIG)


def loop_of(child: dict[str, object], times: int) -> list[dict[str, object]]:
    return [node("all", "loop", config={"items": f"{{{{ {list(range(times))} }}}}"}), child | {"parentId": "all"}]


class TestStorage:
    def test_counts_the_default_values_of_nodes_that_failed(self, bench: Bench):
        bench.world.on("a", bench.world.fail(9, retryable=False))
        run = bench.run([failing("a")])
        assert run.status == "success"
        with session_scope() as session:
            assert storage.measure(session, bench.user_id) > 2 * len(BIG)  # as the node's and as the run's output

    def test_counts_input_results_errors_and_history_as_they_are_stored(self, bench: Bench):
        bench.world.on("a", lambda *_: {"text": BIG})
        bench.world.on("b", bench.world.fail(9, retryable=False))
        run = bench.run([call("a"), call("b"), transform("c", "input")], "a>b", value={"given": BIG})
        rows = len(bench.nodes(run.id)) + len(bench.events(run.id))
        expected = int(bench.sql(STORED, id=run.id)) + rows * run_size.ROW_BYTES
        assert abs(stored(bench, run.id) - expected) < 2_000

    def test_counts_a_row_that_is_written_again_once(self, bench: Bench):
        bench.world.on("a", bench.world.fail(2))
        nodes = [node("a", "api_call", config={"method": "GET", "url": "http://world/a", "retries": 2})]
        run = bench.run(nodes)
        expected = int(bench.sql(STORED, id=run.id))
        rows = len(bench.nodes(run.id)) + len(bench.events(run.id))
        assert abs(stored(bench, run.id) - expected - rows * run_size.ROW_BYTES) < 2_000


class TestTheLimit:
    def test_ends_a_run_at_the_node_that_passes_it(self, bench: Bench, limit: int):
        bench.world.on("a", lambda *_: BIG)
        run = bench.run(loop_of(call("a"), 20))
        assert run.status == "failed"
        assert (run.error["code"], run.error["nodeId"]) == ("run_too_large", "a")
        assert limit - 2 * len(BIG) < stored(bench, run.id) < limit + 20 * KIB
        assert int(bench.sql(STORED, id=run.id)) < limit

    def test_is_not_passed_by_default_values(self, bench: Bench, limit: int):
        bench.world.on("a", bench.world.fail(99, retryable=False))
        run = bench.run(loop_of(failing("a"), 20))
        assert (run.status, run.error["code"]) == ("failed", "run_too_large")
        assert int(bench.sql(STORED, id=run.id)) < limit

    def test_is_no_error_that_the_workflow_may_go_on_after(self, bench: Bench, limit: int):
        bench.world.on("a", lambda *_: BIG)
        run = bench.run(loop_of(call("a", onError="branch"), 20))
        assert (run.status, run.error["code"]) == ("failed", "run_too_large")

    def test_counts_the_runs_own_output(self, bench: Bench, limit: int):
        nodes = [
            transform("a", "input"),
            transform("b", "input"),
            node("out", "output", config={"value": "{{ input }}"}),
        ]
        assert bench.run(nodes, value=BIG).status == "success"  # five times that much
        run = bench.run(nodes, value=BIG + BIG[: 20 * KIB])
        assert (run.status, run.error["code"]) == ("failed", "run_too_large")
        assert {row.status for row in bench.nodes(run.id).values()} == {"success"}

    def test_is_known_to_the_next_driver(self, bench: Bench, limit: int):
        run_id = bench.submit([transform("a", "input")], value=1)
        with session_scope() as session:
            session.execute(
                text("UPDATE workflow_executions SET stored_bytes = :n WHERE id = :id"),
                {"n": limit - 100, "id": run_id},
            )
        bench.runtime.drive(run_id)
        run = bench.execution(run_id)
        assert (run.status, run.error["code"]) == ("failed", "run_too_large")
