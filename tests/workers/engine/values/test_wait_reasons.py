"""Why a step waits is a value: kept in its row in a form that does not change, and read back by the next driver."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from models.rules.graph.effects import ApprovalResult, Ask, Sleep
from models.services.credits.api_calls import CallsUsed
from workers.engine.values import clock
from workers.engine.values.wait_reasons import (
    Approval,
    Backoff,
    ChildRetry,
    ChildRun,
    QuotaReset,
    WaitReason,
    WaitTimer,
    pause_reason,
    read_reason,
)

UNTIL = datetime(2030, 1, 1, 9, 30, 0, 125, tzinfo=UTC)
TEXT = "2030-01-01T09:30:00.000125+00:00"
RUN, WORKFLOW = UUID(int=1), UUID(int=2)

STORED = [
    (WaitTimer(message="M", until=UNTIL), {"type": "timer", "message": "M", "until": TEXT}),
    (
        WaitTimer(message="M", until=UNTIL, cut_off=True),
        {"type": "timer", "message": "M", "until": TEXT, "cutOff": True},
    ),
    (Approval(message="M"), {"type": "approval", "message": "M", "until": None}),
    (
        Approval(message="M", until=UNTIL, answer={"approved": True, "comment": "Yes."}),
        {"type": "approval", "message": "M", "until": TEXT, "answer": {"approved": True, "comment": "Yes."}},
    ),
    (Backoff(message="M", until=UNTIL), {"type": "provider", "message": "M", "until": TEXT}),
    (QuotaReset(message="M", until=UNTIL), {"type": "api_calls", "message": "M", "until": TEXT}),
    (
        ChildRun(message="M", run_id=RUN, workflow_id=WORKFLOW),
        {
            "type": "subworkflow",
            "message": "M",
            "until": None,
            "childExecutionId": str(RUN),
            "workflowId": str(WORKFLOW),
        },
    ),
    (ChildRetry(message="M", until=UNTIL), {"type": "subworkflow", "message": "M", "until": TEXT}),
]


@pytest.mark.parametrize(("reason", "stored"), STORED)
def test_a_reason_is_kept_and_read_back(reason: WaitReason, stored: dict[str, object]):
    assert reason.to_ref() == stored
    assert read_reason(stored) == reason


def test_what_is_kept_beside_a_reason_is_not_read_with_it():
    stored = Backoff(message="M", until=UNTIL).to_ref() | {"refused": 3, "owed": True}
    assert read_reason(stored) == Backoff(message="M", until=UNTIL)


def test_an_unknown_reason_is_an_error():
    with pytest.raises(ValueError, match="riddle"):
        read_reason({"type": "riddle", "message": "M", "until": None})


def test_a_childs_result_ends_its_wait_and_is_not_kept_twice():
    waits = ChildRun(message="M", run_id=RUN)
    ended = read_reason(waits.to_ref() | {"answer": {"status": "success", "output": 1, "error": None}})
    assert (waits.is_over, ended.is_over, waits.is_same(ended)) == (False, True, True)
    assert ended.to_ref() == waits.to_ref()


def test_an_answer_or_its_time_limit_ends_a_question():
    asked = pause_reason(Ask("Go on?", timeout=60))
    assert isinstance(asked, Approval)
    assert not asked.is_over
    assert asked.verdict == ApprovalResult(None)
    assert Approval(answer={"approved": False, "comment": "No."}).verdict == ApprovalResult(False, "No.")
    assert Approval(answer={"approved": False}).is_over
    assert Approval(until=clock.now() - timedelta(seconds=1)).is_over


def test_a_timer_is_cut_off_where_its_nodes_limit_comes_first():
    assert pause_reason(Sleep(until=UNTIL), UNTIL + timedelta(seconds=1)).until == UNTIL
    cut = pause_reason(Sleep(until=UNTIL), UNTIL - timedelta(seconds=1))
    assert cut == WaitTimer(message=f"Waits until {TEXT}.", until=UNTIL - timedelta(seconds=1), cut_off=True)


def test_the_next_attempt_waits_no_longer_than_its_node_may_take():
    pause = Backoff(message="M", until=UNTIL)
    earlier, later = UNTIL - timedelta(hours=1), UNTIL + timedelta(hours=1)
    assert [pause.at_latest(moment).until for moment in (None, earlier, later)] == [UNTIL, earlier, UNTIL]


def test_a_quota_says_when_it_goes_on():
    reason = QuotaReset.of(CallsUsed(used=1_000, limit=1_000, resets_at=UNTIL))
    assert "1,000 AI and API calls of this month are used up; goes on 2030-01-01" in reason.message
