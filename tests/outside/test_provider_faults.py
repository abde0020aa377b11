"""Whatever a provider or the gateway does to a call: a clear error or a success later, and no charge for nothing."""

from decimal import Decimal
from typing import Any

import pytest

from tests.engine.test_waiting import let_time_pass
from tests.gateways.raw_server import answer, raw_server
from tests.outside.conftest import Outside, http, model, turn
from workers.engine.endings import Left

SOON = {"maxAttempts": 2, "initialInterval": 0.05}


def after_failures(outside: Outside, graph: dict[str, Any], attempts: int = 2) -> None:
    """It succeeds in the end, and costs what one success costs."""
    run = outside.run([graph])
    assert (run.status, outside.nodes(run.id)[graph["id"]].attempt) == ("success", attempts)
    assert run.credits_charged == Decimal(1) + outside.nodes(run.id)[graph["id"]].credits


def fails(outside: Outside, graph: dict[str, Any], code: str) -> str:
    """It ends with this error, at no cost; answers the sentence."""
    run = outside.run([graph])
    assert (run.status, run.error["code"], run.error["nodeId"]) == ("failed", code, graph["id"])
    assert run.credits_charged == 0
    assert outside.sql("SELECT balance FROM credits WHERE user_id = :id", id=outside.user_id) == 100_000
    return str(run.error["message"])


class TestAModel:
    def test_that_fails_for_a_while_is_asked_again(self, outside: Outside):
        after_failures(outside, model("m", "[[sim:500*1]] [[sim:say=x]]", "anthropic", retry=SOON))

    def test_that_is_overloaded_counts_no_attempt(self, outside: Outside):
        outside.ai.retry_after = "0.2"
        after_failures(outside, model("m", "[[sim:529*1]] [[sim:say=x]]", "anthropic", retry=SOON), attempts=1)

    @pytest.mark.parametrize(
        ("wish", "code"),
        [
            ("500", "provider_unavailable"),
            ("half", "provider_bad_answer"),
            ("badjson", "provider_bad_answer"),
            ("missing", "provider_bad_answer"),
            ("quota", "provider_quota"),
            ("context", "context_too_long"),
            ("refuse", "provider_refused"),
        ],
    )
    def test_that_fails_for_good_says_why(self, outside: Outside, wish: str, code: str):
        assert "OpenAI" in fails(outside, model("m", f"[[sim:{wish}]]", retry=SOON), code)

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
            assert outside.runtime.drive(execution_id) is Left.PARKED
        assert outside.execution(execution_id).waiting_for["type"] == "provider"

    def test_that_breaks_off_is_asked_again(self, outside: Outside):
        with raw_server(lambda sock: sock.sendall(answer(b"x" * 100)[:-50]), answer(b"whole")) as server:
            after_failures(outside, http("a", server.url(), retry=SOON))

    def test_that_fails_may_be_gone_on_without(self, outside: Outside):
        with raw_server(answer(status="500 Broken")) as server:
            run = outside.run([http("a", server.url(), onError="continue", defaultValue="none")])
        assert (run.status, run.credits_charged) == ("success", 0)


class TestADeadlineOfANode:
    def test_bounds_all_its_attempts_together(self, outside: Outside):
        retry = {"maxAttempts": 10, "initialInterval": 0.05}
        graph = model("m", "[[sim:hang]]", timeout=0.4, deadline=1, retry=retry)
        assert "deadline" in fails(outside, graph, "node_timed_out")
        assert 2 <= len(outside.ai.requests) <= 3
        outside.until(lambda: outside.ai.under_way == 0)

    def test_counts_the_time_in_line(self, outside: Outside):
        outside.ai.room, outside.ai.retry_after = 0, "15"
        fails(outside, model("m", "hello", deadline=0.5), "node_timed_out")

    def test_counts_the_time_as_a_row(self, outside: Outside):
        outside.ai.room, outside.ai.retry_after = 0, "60"
        execution_id = outside.submit([model("m", "hello", deadline=30, onError="continue", defaultValue="no")])
        assert outside.runtime.drive(execution_id) is Left.PARKED
        assert outside.sql(
            "SELECT wake_at < now() + interval '31 s' FROM workflow_executions WHERE id = :id", id=execution_id
        )
        outside.sql("UPDATE workflow_executions SET wake_at = now()")
        outside.sql(
            "UPDATE node_executions SET started_at = now() - interval '1 minute',"
            " external_ref = jsonb_set(external_ref, '{until}', to_jsonb(CAST(now() AS text)))"
            " WHERE status = 'waiting'"
        )
        assert outside.another().drive(execution_id) is Left.ENDED
        assert (outside.execution(execution_id).output, outside.ai.refused) == ("no", 1)


class TestATurn:
    """Never two paid turns silently: the same run is found again, or reconciled, or the next attempt says so."""

    @pytest.mark.parametrize("accident", ["drop", "drop-early"])
    def test_outlives_a_lost_socket_and_is_paid_once(self, outside: Outside, accident: str):
        after_failures(outside, turn("t", f"[[sim:{accident}]] [[sim:delay=0.3]] [[sim:reply=x]]"), attempts=1)
        assert len(outside.openclaw.calls) == 1

    def test_broken_off_by_a_restart_is_told_and_tried_again_under_another_name(self, outside: Outside):
        run = outside.run([turn("t", "[[sim:crash]] [[sim:delay=0.3]] [[sim:reply=x]]", retry=SOON)])
        assert (run.status, run.output["text"], run.credits_charged) == ("success", "x", Decimal("2.10"))
        paid = [call for call in outside.openclaw.calls if not call["ghost"]]
        assert len({call["sessionKey"] for call in paid}) == len(paid) == 2
        retrying = [event for event in outside.events(run.id) if event.type == "node.retrying"]
        assert [event.data["code"] for event in retrying] == ["openclaw_restarted"]

    def test_broken_off_by_a_restart_is_not_repeated_when_its_node_says_so(self, outside: Outside):
        fails(outside, turn("t", "[[sim:crash]] [[sim:delay=0.3]]", onCrash="fail"), "openclaw_restarted")
        assert len([call for call in outside.openclaw.calls if not call["ghost"]]) == 1

    def test_that_hangs_is_given_up_at_its_time_limit(self, outside: Outside):
        fails(outside, turn("t", "[[sim:hang]]", timeout=1, retry={"maxAttempts": 1}), "openclaw_timeout")
        outside.until(lambda: outside.openclaw.active() == 0)

    def test_that_is_refused_for_the_moment_is_sent_again_by_the_gateway_line(self, outside: Outside):
        after_failures(outside, turn("t", "[[sim:refuse]] [[sim:reply=x]]"), attempts=1)

    @pytest.mark.parametrize("outside", [{"cap": 2}], indirect=True)
    def test_past_the_gateways_cap_waits_there_and_all_end(self, outside: Outside):
        run = outside.run([turn(f"t{n}", f"[[sim:reply={n}]]") for n in range(8)])
        assert (run.status, len(outside.openclaw.calls)) == ("success", 8)

    def test_of_an_overloaded_provider_is_another_attempt(self, outside: Outside):
        execution_id = outside.submit([turn("t", "[[sim:503=1]] [[sim:reply=x]]", retry=SOON)])
        assert outside.runtime.drive(execution_id) is Left.PARKED  # the gateway was patient already
        let_time_pass(outside)
        outside.sql("UPDATE workflow_executions SET wake_at = now()")
        assert outside.another().drive(execution_id) is Left.ENDED
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
            if attempt.left_behind is None:
                outside.until(lambda: outside.execution(execution_id).epoch > 1)  # it does not come to tell
            return found

        outside.performer.perform = perform
        outside.in_background(execution_id, stuck)
        outside.until(lambda: outside.openclaw.calls)
        if dies == "after it":
            outside.until(lambda: outside.openclaw.active() == 0)
        outside.sql("UPDATE workflow_executions SET lease_expires_at = now() - interval '1 second'")
        assert outside.runtime.drive(execution_id) is Left.ENDED
        run = outside.execution(execution_id)
        assert (run.status, run.output["text"], run.credits_charged) == ("success", "x", Decimal("2.10"))
        assert len(outside.openclaw.calls) == 1
