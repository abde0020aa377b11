"""What users are told of their runs although they are not looking."""

from typing import Any

from tests.engine.conftest import Bench, call
from tests.factories import node


def told(bench: Bench) -> list[tuple[str, Any]]:
    rows = bench.sql("SELECT json_agg(json_build_array(kind, payload) ORDER BY created_at) FROM notifications") or []
    return [(kind, payload) for kind, payload in rows]


def test_a_question_is_told_once_however_often_the_run_is_parked(bench: Bench):
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


def test_the_end_of_a_long_run_is_told_and_that_of_a_short_one_is_not(bench: Bench):
    bench.run([call("a")])
    assert told(bench) == []
    execution_id = bench.submit([call("a")])
    bench.sql(
        "UPDATE workflow_executions SET started_at = now() - interval '2 minutes' WHERE id = :id", id=execution_id
    )
    bench.runtime.drive(execution_id)
    ((kind, payload),) = told(bench)
    assert (kind, payload["status"], payload["creditsCharged"]) == ("run_finished", "success", "1.10")


def test_few_credits_left_are_told_once(bench: Bench):
    bench.sql("UPDATE credits SET held = balance - 4.5 WHERE user_id = :id", id=bench.user_id)
    before = bench.sql("SELECT held FROM credits WHERE user_id = :id", id=bench.user_id)
    for _ in range(2):
        bench.run([call("a")], cap=2)
    bench.sql("UPDATE credits SET held = held - :before WHERE user_id = :id", id=bench.user_id, before=before)
    assert [kind for kind, _ in told(bench)] == ["low_balance"]
