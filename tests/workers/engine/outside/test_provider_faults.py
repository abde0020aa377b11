"""Whatever a provider or the gateway does to a call: a clear error or a success later, and no charge for nothing."""

import threading
from decimal import Decimal
from typing import Any

import pytest

from models.db import session_scope
from models.rules.prices.charging import FailureFault, fault_of
from models.services.executions import receipts
from models.tables import Execution
from tests.support.servers.raw_server import answer, raw_server
from tests.workers.engine.driver.test_paused_steps import let_time_pass
from tests.workers.engine.outside.conftest import Outside, http, model, turn
from workers.engine.attempts import retry_policy
from workers.engine.driver.outcomes import DriveResult

SOON = {"maxAttempts": 2, "initialInterval": 0.05}


def after_failures(outside: Outside, graph: dict[str, Any], attempts: int = 2) -> None:
    """It succeeds in the end, and costs what one success costs."""
    run = outside.run([graph])
    assert (run.status, outside.nodes(run.id)[graph["id"]].attempt) == ("success", attempts)
    assert run.credits_charged == Decimal(1) + outside.nodes(run.id)[graph["id"]].credits


def fails(outside: Outside, graph: dict[str, Any], code: str, *, sent: bool = True) -> str:
    """It ends with this error, and pays for the node unless the other side broke it or nothing was under way.

    Answers the sentence.
    """
    run = outside.run([graph])
    assert (run.status, run.error["code"], run.error["nodeId"]) == ("failed", code, graph["id"])
    node, fault = outside.nodes(run.id)[graph["id"]], fault_of(code)
    is_own = fault is FailureFault.WORKFLOW or (fault is FailureFault.STOPPED and sent)
    assert (run.credits_charged, node.credits > 0) == (1 + node.credits, is_own)
    balance = outside.sql("SELECT balance FROM credits WHERE user_id = :id", id=outside.user_id)
    assert balance == 100_000 - run.credits_charged
    return str(run.error["message"])


class TestAModel:
    def test_that_fails_for_a_while_is_asked_again(self, outside: Outside):
        after_failures(outside, model("m", "[[sim:500*1]] [[sim:say=x]]", "anthropic", retry=SOON))

    def test_that_is_overloaded_counts_no_attempt(self, outside: Outside):
        outside.ai.retry_after = "0.2"
        after_failures(outside, model("m", "[[sim:529*1]] [[sim:say=x]]", "anthropic", retry=SOON), attempts=1)

    @pytest.mark.parametrize(
        ("requested", "code"),
        [
            ("500", "provider_unavailable"),
            ("half", "provider_bad_answer"),
            ("badjson", "provider_bad_answer"),
            ("missing", "provider_bad_answer"),
            ("quota", "provider_quota"),
            ("quota=untyped", "provider_quota"),
            ("error=500", "provider_unavailable"),
            ("blank", "provider_empty_answer"),
            ("think", "provider_empty_answer"),
            ("tool", "provider_empty_answer"),
            ("context", "context_too_long"),
            ("refuse", "provider_refused"),
        ],
    )
    def test_that_fails_for_good_says_why(self, outside: Outside, requested: str, code: str):
        assert "OpenAI" in fails(outside, model("m", f"[[sim:{requested}]]", retry=SOON), code)

    @pytest.mark.parametrize("requested", ["blank*1", "think*1", "tool*1", "error=502*1"])
    def test_that_says_nothing_once_is_asked_again(self, outside: Outside, requested: str):
        after_failures(outside, model("m", f"[[sim:say=x]] [[sim:{requested}]]", retry=SOON))

    def test_with_an_empty_account_does_not_delay_other_users(self, outside: Outside):
        failing = outside.submit([model("m", "[[sim:quota=untyped]]", retry=SOON)])
        left = outside.in_background(failing)
        run = outside.run([model("m", "[[sim:say=x]]")])
        left()
        assert (run.status, outside.execution(failing).error["code"]) == ("success", "provider_quota")
        assert {"node.queued", "node.retrying"}.isdisjoint(outside.types(run.id) + outside.types(failing))
        assert len(outside.ai.requests) == 2

    def test_that_breaks_off_once_is_asked_again_at_once(self, outside: Outside):
        after_failures(outside, model("m", "[[sim:half*1]] [[sim:say=x]]", retry=SOON), attempts=1)

    def test_that_takes_too_long_is_given_up(self, outside: Outside):
        graph = model("m", "[[sim:hang]]", timeout=0.3, retry=SOON)
        assert "time limit" in fails(outside, graph, "timeout")
        assert len(outside.ai.requests) == 2
        outside.until(lambda: outside.ai.under_way == 0)


class TestAnApi:
    def test_that_names_a_date_is_asked_again_then(self, outside: Outside):
        later = answer(status="429 Slow down", Retry_After="Fri, 31 Dec 2060 23:59:59 GMT")
        with raw_server(later) as server:
            execution_id = outside.submit([http("a", server.url(), retry=SOON)])
            assert outside.runtime.drive(execution_id) is DriveResult.PARKED
        assert outside.execution(execution_id).waiting_for["type"] == "provider"

    def test_that_breaks_off_is_asked_again(self, outside: Outside):
        with raw_server(lambda sock: sock.sendall(answer(b"x" * 100)[:-50]), answer(b"whole")) as server:
            after_failures(outside, http("a", server.url(), retry=SOON))

    def test_that_fails_may_be_gone_on_without(self, outside: Outside):
        with raw_server(answer(status="500 Broken")) as server:
            run = outside.run([http("a", server.url(), onError="continue", defaultValue="none")])
        assert (run.status, run.credits_charged) == ("success", 1)


class TestADeadlineOfANode:
    def test_bounds_all_its_attempts_together(self, outside: Outside):
        retry = {"maxAttempts": 10, "initialInterval": 0.05}
        graph = model("m", "[[sim:hang]]", timeout=0.4, deadline=1, retry=retry)
        assert "deadline" in fails(outside, graph, "node_timed_out")
        assert 2 <= len(outside.ai.requests) <= 3
        outside.until(lambda: outside.ai.under_way == 0)

    def test_counts_the_time_in_the_queue(self, outside: Outside):
        outside.ai.room, outside.ai.retry_after = 0, "15"
        fails(outside, model("m", "hello", deadline=0.5), "node_timed_out", sent=False)

    def test_counts_the_time_as_a_row(self, outside: Outside):
        outside.ai.room, outside.ai.retry_after = 0, "60"
        execution_id = outside.submit([model("m", "hello", deadline=30, onError="continue", defaultValue="no")])
        assert outside.runtime.drive(execution_id) is DriveResult.PARKED
        assert outside.sql(
            "SELECT wake_at < now() + interval '31 s' FROM workflow_executions WHERE id = :id", id=execution_id
        )
        outside.sql("UPDATE workflow_executions SET wake_at = now()")
        outside.sql(
            "UPDATE node_executions SET started_at = now() - interval '1 minute',"
            " external_ref = jsonb_set(external_ref, '{until}', to_jsonb(CAST(now() AS text)))"
            " WHERE status = 'waiting'"
        )
        assert outside.another().drive(execution_id) is DriveResult.ENDED
        assert (outside.execution(execution_id).output, outside.ai.refused) == ("no", 1)


class TestATurn:
    """Never two paid turns silently: the same run is found again, or reconciled, or the next attempt says so."""

    @pytest.mark.parametrize("accident", ["drop", "drop-early"])
    def test_outlives_a_lost_socket_and_is_paid_once(self, outside: Outside, accident: str):
        after_failures(outside, turn("t", f"[[sim:{accident}]] [[sim:delay=0.3]] [[sim:reply=x]]"), attempts=1)
        assert len(outside.openclaw.calls) == 1

    def test_interrupted_by_a_restart_is_recorded_and_retried_under_a_new_name(self, outside: Outside):
        run = outside.run([turn("t", "[[sim:crash]] [[sim:delay=0.3]] [[sim:reply=x]]", retry=SOON)])
        assert (run.status, run.output["text"], run.credits_charged) == ("success", "x", Decimal("2.10"))
        paid = [call for call in outside.openclaw.calls if not call["ghost"]]
        assert len({call["sessionKey"] for call in paid}) == len(paid) == 2
        retrying = [event for event in outside.events(run.id) if event.type == "node.retrying"]
        assert [event.data["code"] for event in retrying] == ["openclaw_restarted"]
        with session_scope() as session:
            (line,) = receipts.lines(session, session.get_one(Execution, run.id))
        assert "It succeeded. It was sent one more time and interrupted" in line.reason

    def test_broken_off_by_a_restart_is_not_repeated_when_its_node_says_so(self, outside: Outside):
        fails(outside, turn("t", "[[sim:crash]] [[sim:delay=0.3]]", onCrash="fail"), "openclaw_restarted")
        assert len([call for call in outside.openclaw.calls if not call["ghost"]]) == 1

    def test_that_hangs_is_given_up_at_its_time_limit(self, outside: Outside):
        fails(outside, turn("t", "[[sim:hang]]", timeout=1, retry={"maxAttempts": 1}), "openclaw_timeout")
        outside.until(lambda: outside.openclaw.active() == 0)

    def test_that_says_nothing_is_tried_again_and_then_fails(self, outside: Outside):
        fails(outside, turn("t", "[[sim:blank]]", retry={"maxAttempts": 1}), "openclaw_empty_response")
        assert len(outside.openclaw.calls) == 1

    def test_that_is_refused_temporarily_is_sent_again(self, outside: Outside):
        after_failures(outside, turn("t", "[[sim:refuse]] [[sim:reply=x]]"), attempts=1)

    def test_waits_for_a_gateway_that_is_away_without_using_its_attempts_up(self, outside: Outside):
        outside.openclaw.options.downtime = 9  # longer than the driver's own patience
        away = threading.Thread(target=outside.openclaw.restart)
        away.start()
        execution_id = outside.submit([turn("t", "[[sim:reply=x]]", retry={"maxAttempts": 1})])
        left = outside.in_background(execution_id)
        outside.until(lambda: "node.queued" in outside.types(execution_id))
        outside.until(lambda: (outside.nodes(execution_id)["t"].external_ref or {}).get("queue"))
        assert outside.nodes(execution_id)["t"].external_ref["queue"]["for"] == "connection"
        assert left() is DriveResult.PARKED
        run = outside.execution(execution_id)
        assert (run.status, run.waiting_for["type"]) == ("waiting", "provider")
        assert "OpenClaw cannot be reached" in run.waiting_for["message"]
        away.join()
        let_time_pass(outside)
        outside.sql("UPDATE workflow_executions SET wake_at = now()")
        assert outside.another().drive(execution_id) is DriveResult.ENDED
        run = outside.execution(execution_id)
        assert (run.status, run.output["text"], run.credits_charged) == ("success", "x", Decimal("2.10"))
        assert (outside.nodes(execution_id)["t"].attempt, len(outside.openclaw.calls)) == (1, 1)

    def test_sent_by_a_dead_worker_is_not_repeated_without_the_gateway(
        self, outside: Outside, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(retry_policy, "LONG_PAUSE", 2.0)
        execution_id = outside.submit([turn("t", "[[sim:reply=x]]", retry={"maxAttempts": 1})])
        stuck, real = outside.another(), outside.performer.perform

        def perform(effect: Any, attempt: Any) -> Any:
            found = real(effect, attempt)
            if attempt.in_flight_ref is None:
                outside.until(lambda: outside.execution(execution_id).epoch > 1, 40)  # it does not come to tell
            return found

        outside.performer.perform = perform
        outside.in_background(execution_id, stuck)
        outside.until(lambda: outside.openclaw.calls and outside.openclaw.active() == 0)
        outside.openclaw.options.downtime = 8
        away = threading.Thread(target=outside.openclaw.restart)
        away.start()
        outside.sql("UPDATE workflow_executions SET lease_expires_at = now() - interval '1 second'")
        assert outside.runtime.drive(execution_id) is DriveResult.ENDED
        away.join()
        run = outside.execution(execution_id)
        assert (run.status, run.output["text"], len(outside.openclaw.calls)) == ("success", "x", 1)

    @pytest.mark.parametrize("outside", [{"retry_scale": 0.2}], indirect=True)
    def test_whose_gateway_goes_on_retrying_is_stopped_at_its_time_limit(self, outside: Outside):
        graph = turn("t", "[[sim:500]] [[sim:stubborn]]", timeout=1, retry={"maxAttempts": 1})
        fails(outside, graph, "openclaw_timeout")
        outside.until(lambda: outside.openclaw.active() == 0, seconds=2)

    @pytest.mark.parametrize("outside", [{"cap": 2}], indirect=True)
    def test_past_the_gateways_cap_waits_there_and_all_end(self, outside: Outside):
        run = outside.run([turn(f"t{n}", f"[[sim:reply={n}]]") for n in range(8)])
        assert (run.status, len(outside.openclaw.calls)) == ("success", 8)

    def test_of_an_overloaded_provider_is_another_attempt(self, outside: Outside):
        execution_id = outside.submit([turn("t", "[[sim:503=1]] [[sim:reply=x]]", retry=SOON)])
        assert outside.runtime.drive(execution_id) is DriveResult.PARKED  # the gateway was patient already
        let_time_pass(outside)
        outside.sql("UPDATE workflow_executions SET wake_at = now()")
        assert outside.another().drive(execution_id) is DriveResult.ENDED
        assert outside.execution(execution_id).status == "success"
        assert outside.nodes(execution_id)["t"].attempt == 2

    @pytest.mark.parametrize("dies", ["during the turn", "after it"])
    def test_of_a_worker_that_died_is_found_again(self, outside: Outside, dies: str):
        delay = 0.5 if dies == "during the turn" else 0.05
        execution_id = outside.submit([turn("t", f"[[sim:delay={delay}]] [[sim:reply=x]]")])
        stuck = outside.another()
        real = outside.performer.perform

        def perform(effect: Any, attempt: Any) -> Any:
            found = real(effect, attempt)
            if attempt.in_flight_ref is None:
                outside.until(lambda: outside.execution(execution_id).epoch > 1)  # it does not come to tell
            return found

        outside.performer.perform = perform
        outside.in_background(execution_id, stuck)
        outside.until(lambda: outside.openclaw.calls)
        if dies == "after it":
            outside.until(lambda: outside.openclaw.active() == 0)
        outside.sql("UPDATE workflow_executions SET lease_expires_at = now() - interval '1 second'")
        assert outside.runtime.drive(execution_id) is DriveResult.ENDED
        run = outside.execution(execution_id)
        assert (run.status, run.output["text"], run.credits_charged) == ("success", "x", Decimal("2.10"))
        assert len(outside.openclaw.calls) == 1
