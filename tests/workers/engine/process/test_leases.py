"""Leases of runs expire, are renewed and released, and sweeps find runs without one."""

import threading
from decimal import Decimal
from uuid import UUID

from models.db import session_scope
from models.services.orchestration import leases, redelivery
from tests.support.engine.bench import Bench, call, transform
from workers.engine.driver.outcomes import DriveResult
from workers.engine.process.runtime import EngineConfig

_RUN = "UPDATE workflow_executions SET status = 'running' WHERE id = :id"
_PARK = """
    UPDATE workflow_executions SET status = 'waiting', wake_at = now() + CAST(:for_time AS interval) WHERE id = :id
"""


def park(bench: Bench, run: UUID, for_time: str) -> None:
    bench.sql(_RUN, id=run)
    bench.sql(_PARK, id=run, for_time=for_time)


class TestLeases:
    def test_a_lease_is_renewed_while_its_driver_lives(self, bench: Bench):
        bench.world.on("a", bench.world.hang)
        execution_id = bench.submit([call("a")])
        runtime = bench.another(EngineConfig(lease_seconds=3, heartbeat_seconds=0.5, effect_threads=4))
        left = bench.in_background(execution_id, runtime)
        assert bench.world.arrived.wait(10)
        first = bench.execution(execution_id).lease_expires_at
        threading.Event().wait(1.5)
        assert bench.execution(execution_id).lease_expires_at > first
        bench.world.release.set()
        assert left() is DriveResult.ENDED

    def test_cut_connections_delay_a_run_and_lose_nothing(self, bench: Bench):
        bench.world.on(
            "a",
            lambda *_: bench.sql(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ),
        )
        run = bench.run([transform("z", "1"), call("a"), call("b")], "z>a", "a>b")
        assert (run.status, run.credits_charged) == ("success", Decimal("1.30"))
        assert bench.world.calls == {"a": 1, "b": 1}


class TestSweeps:
    def test_an_unheard_row_is_enqueued_once_its_own_message_is_late(self, bench: Bench):
        execution_id = bench.submit([call("a")])
        assert self.due() == []
        bench.sql("UPDATE workflow_executions SET created_at = now() - interval '11 seconds'")
        assert self.due() == [execution_id]
        assert self.due() == []

    def test_a_lease_that_ran_out_is_enqueued(self, bench: Bench):
        execution_id = bench.submit([call("a")])
        with session_scope() as session:
            leases.claim(session, execution_id, owner="doomed", seconds=-1)
        assert self.due() == [execution_id]

    def test_a_long_queue_keeps_no_run_from_being_taken_up_again(self, bench: Bench):
        queued, dropped, parked = (bench.submit([call("a")]) for _ in range(3))
        bench.sql("UPDATE workflow_executions SET created_at = now() - interval '1 hour' WHERE id = :id", id=queued)
        with session_scope() as session:
            leases.claim(session, dropped, owner="doomed", seconds=-1)
        park(bench, parked, "0 s")
        with session_scope() as session:
            assert {run.execution_id for run in redelivery.stalled(session, limit=1)} == {queued, dropped, parked}

    def test_a_run_whose_time_has_come_is_enqueued(self, bench: Bench):
        execution_id = bench.submit([call("a")])
        park(bench, execution_id, "1 hour")
        assert self.due() == []
        bench.sql("UPDATE workflow_executions SET wake_at = now()")
        assert self.due() == [execution_id]

    def test_two_sweeps_at_once_enqueue_once(self, bench: Bench):
        bench.submit([call("a")])
        bench.sql("UPDATE workflow_executions SET created_at = now() - interval '11 seconds'")
        with session_scope() as one:
            assert len(redelivery.stalled(one)) == 1
            assert self.due() == []

    @staticmethod
    def due() -> list[UUID]:
        with session_scope() as session:
            return [run.execution_id for run in redelivery.stalled(session)]
