"""Notifications about runs to their users."""

from typing import Any

from tests.support.engine.bench import Bench, call
from tests.support.factories import node


def told(bench: Bench) -> list[tuple[str, Any]]:
    rows = bench.sql("SELECT json_agg(json_build_array(kind, payload) ORDER BY created_at) FROM notifications") or []
    return [(kind, payload) for kind, payload in rows]


def test_a_question_is_notified_once_even_if_the_run_is_parked_again(bench: Bench):
    question = node("q", "approval", config={"message": "Send it?"})
    execution_id = bench.submit([question])
    bench.runtime.drive(execution_id)
    bench.sql("UPDATE workflow_executions SET wake_at = now()")
    bench.runtime.drive(execution_id)
    (kind, payload), *more = told(bench)
    assert (kind, payload["message"], payload["executionId"], more) == (
        "approval_needed",
        "Send it?",
        str(execution_id),
        [],
    )


def test_only_the_end_of_a_long_run_is_notified(bench: Bench):
    bench.run([call("a")])
    assert told(bench) == []
    execution_id = bench.submit([call("a")])
    bench.sql(
        "UPDATE workflow_executions SET started_at = now() - interval '2 minutes' WHERE id = :id", id=execution_id
    )
    bench.runtime.drive(execution_id)
    ((kind, payload),) = told(bench)
    assert (kind, payload["status"], payload["creditsCharged"]) == ("run_finished", "success", "1.10")


def test_few_credits_left_are_notified_once(bench: Bench):
    bench.sql("UPDATE credits SET held = balance - 4.5 WHERE user_id = :id", id=bench.user_id)
    before = bench.sql("SELECT held FROM credits WHERE user_id = :id", id=bench.user_id)
    for _ in range(2):
        bench.run([call("a")], cap=2)
    bench.sql("UPDATE credits SET held = held - :before WHERE user_id = :id", id=bench.user_id, before=before)
    assert [kind for kind, _ in told(bench)] == ["low_balance"]
