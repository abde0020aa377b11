"""A cancel reaches what is under way out there at once, wherever the run stands just then."""

import socket
import threading
from decimal import Decimal
from typing import Any

import pytest

from tests.support.servers.raw_server import answer, raw_server
from tests.workers.engine.driver.test_paused_steps import ask, wait
from tests.workers.engine.outside.conftest import Outside, http, model, turn
from workers.engine.driver.outcomes import DriveResult

HALF = answer(b"x" * 100)[:-50]


class Line:
    """The server's end of a call that hangs: what it had said, and whether the caller hung up."""

    def __init__(self, said: bytes = b"") -> None:
        self.said = said
        self.arrived, self.closed = threading.Event(), threading.Event()

    def __call__(self, sock: socket.socket) -> None:
        sock.sendall(self.said)
        self.arrived.set()
        while sock.recv(1):
            pass
        self.closed.set()


class TestAnHttpCall:
    @pytest.mark.parametrize("said", [b"", HALF], ids=["that says nothing", "in the middle of its answer"])
    def test_is_cut(self, outside: Outside, said: bytes):
        line = Line(said)
        with raw_server(line) as server:
            execution_id = outside.submit([http("a", server.url())])
            left = outside.in_background(execution_id)
            assert line.arrived.wait(20)
            with outside.cancelled_soon(execution_id, left):
                assert line.closed.wait(5)
        assert outside.nodes(execution_id)["a"].status == "cancelled"

    def test_is_cut_by_whichever_worker_drives_it(self, outside: Outside):
        line = Line()
        with raw_server(line) as server:
            execution_id = outside.submit([http("a", server.url())])
            outside.in_background(execution_id)
            assert line.arrived.wait(20)
            outside.sql("UPDATE workflow_executions SET lease_expires_at = now() - interval '1 second'")
            line.arrived.clear()
            left = outside.in_background(execution_id, outside.another())
            assert line.arrived.wait(20)
            line.closed.clear()
            with outside.cancelled_soon(execution_id, left):
                assert line.closed.wait(5)

    def test_that_waits_for_its_next_attempt_does_not_come_again(self, outside: Outside):
        with raw_server(answer(status="503 Away")) as server:
            retry = {"maxAttempts": 9, "initialInterval": 15, "maxInterval": 15}
            execution_id = outside.submit([http("a", server.url(), retry=retry)])
            left = outside.in_background(execution_id)
            outside.until(lambda: "node.retrying" in outside.types(execution_id))
            with outside.cancelled_soon(execution_id, left):
                left()
            assert len(server.requests) == 1


class TestACallOfAModel:
    @pytest.mark.parametrize("provider", ["openai", "anthropic"])
    def test_is_cut(self, outside: Outside, provider: str):
        execution_id = outside.submit([model("m", "[[sim:hang]]", provider)])
        left = outside.in_background(execution_id)
        outside.until(lambda: outside.ai.under_way == 1)
        with outside.cancelled_soon(execution_id, left):
            outside.until(lambda: outside.ai.under_way == 0)

    def test_that_waits_in_the_queue_never_starts(self, outside: Outside):
        outside.ai.room = 0
        outside.ai.retry_after = "15"
        execution_id = outside.submit([model("m", "hello")])
        left = outside.in_background(execution_id)
        outside.until(lambda: outside.ai.refused == 1 and "node.queued" in outside.types(execution_id))
        with outside.cancelled_soon(execution_id, left):
            left()
        assert len(outside.ai.requests) == 1


class TestATurn:
    def test_under_way_is_aborted_in_the_gateway(self, outside: Outside):
        execution_id = outside.submit([turn("t", "[[sim:hang]]")])
        left = outside.in_background(execution_id)
        outside.until(lambda: outside.openclaw.calls)
        session_key = outside.openclaw.calls[0]["sessionKey"]
        with outside.cancelled_soon(execution_id, left):
            outside.until(lambda: outside.openclaw.active() == 0)
        assert outside.openclaw.tasks(session_key) == ["cancelled"]

    @pytest.mark.parametrize("outside", [{"cap": 1}], indirect=True)
    def test_in_the_gateways_queue_never_costs_a_call(self, outside: Outside):
        first = outside.submit([turn("t", "[[sim:hang]]")])
        left_first = outside.in_background(first)
        outside.until(lambda: outside.openclaw.calls)
        queued = outside.submit([turn("t", "[[sim:hang]] behind it")])
        left = outside.in_background(queued)
        outside.until(lambda: "node.accepted" in outside.types(queued))
        with outside.cancelled_soon(queued, left):
            outside.until(lambda: outside.openclaw.active() == 1)
        with outside.cancelled_soon(first, left_first):
            outside.until(lambda: outside.openclaw.active() == 0)
        assert len(outside.openclaw.calls) == 1

    def test_that_was_sent_and_not_accepted_yet_is_stopped(self, outside: Outside):
        execution_id = outside.submit([turn("t", "[[sim:slow-accept=0.5]] [[sim:hang]]")])
        left = outside.in_background(execution_id)
        outside.until(lambda: "t" in outside.nodes(execution_id))
        with outside.cancelled_soon(execution_id, left):
            left()
        outside.until(lambda: outside.openclaw.active() == 0)

    def test_is_stopped_by_a_worker_that_did_not_start_it(self, outside: Outside):
        execution_id = outside.submit([turn("t", "[[sim:hang]]")])
        outside.in_background(execution_id)
        outside.until(lambda: outside.openclaw.calls)
        outside.sql("UPDATE workflow_executions SET lease_expires_at = now() - interval '1 second'")
        left = outside.in_background(execution_id, outside.another())
        outside.until(lambda: "execution.resumed" in outside.types(execution_id))
        with outside.cancelled_soon(execution_id, left):
            outside.until(lambda: outside.openclaw.active() == 0)
        assert len(outside.openclaw.calls) == 1

    def test_is_stopped_although_no_worker_drives_it(self, outside: Outside):
        runtime = outside.another()
        execution_id = outside.submit([turn("t", "[[sim:hang]]")])
        left = outside.in_background(execution_id, runtime)
        outside.until(lambda: outside.openclaw.calls)
        assert runtime.shut_down(5)
        outside.runtimes.remove(runtime)
        assert left() is DriveResult.RELEASED
        outside.cancel(execution_id)
        assert outside.execution(execution_id).status == "cancelling"
        assert outside.runtime.drive(execution_id) is DriveResult.ENDED
        outside.until(lambda: outside.openclaw.active() == 0)
        run = outside.execution(execution_id)
        assert (run.status, run.crash_state) == ("cancelled", "clear")

    def test_is_stopped_although_its_worker_died(self, outside: Outside):
        execution_id = outside.submit([turn("t", "[[sim:hang]]")])
        outside.in_background(execution_id)
        outside.until(lambda: outside.openclaw.calls)
        outside.sql("UPDATE workflow_executions SET lease_expires_at = now() - interval '1 s', epoch = epoch + 1")
        outside.cancel(execution_id)
        assert outside.another().drive(execution_id) is DriveResult.ENDED
        outside.until(lambda: outside.openclaw.active() == 0)
        assert outside.execution(execution_id).status == "cancelled"


class TestARunThatIsParked:
    @pytest.mark.parametrize(
        "pause",
        [wait(seconds=3600), ask(), model("m", "hello")],
        ids=["on a timer", "on a question", "on its provider"],
    )
    def test_ends_at_once(self, outside: Outside, pause: dict[str, Any]):
        outside.ai.room, outside.ai.retry_after = 0, "60"
        execution_id = outside.submit([pause])
        assert outside.runtime.drive(execution_id) is DriveResult.PARKED
        with outside.cancelled_soon(execution_id, lambda: None):
            assert outside.execution(execution_id).status == "cancelled"
        assert {row.status for row in outside.nodes(execution_id).values()} == {"cancelled"}


class TestALateResult:
    def test_is_recorded_but_neither_stored_nor_charged(self, outside: Outside):
        """The answer arrives in the moment of the cancel."""
        got, release = threading.Event(), threading.Event()
        real = outside.performer.perform

        def deaf(effect: Any, attempt: Any) -> Any:
            found = real(effect, attempt)
            got.set()
            release.wait(20)
            return found

        outside.performer.perform = deaf
        execution_id = outside.submit([model("m", "[[sim:say=too late]]")])
        left = outside.in_background(execution_id)
        assert got.wait(20)
        with outside.cancelled_soon(execution_id, left):
            left()
        release.set()
        outside.until(lambda: outside.types(execution_id)[-1] == "node.late_result")
        run, last = outside.execution(execution_id), outside.events(execution_id)[-1]
        assert (run.status, run.credits_charged, run.last_seq) == ("cancelled", Decimal("3.10"), last.seq)
        assert (last.node_id, last.level, last.data["usage"]["output"]) == ("m", "warning", 2)
        assert outside.nodes(execution_id)["m"].output is None
