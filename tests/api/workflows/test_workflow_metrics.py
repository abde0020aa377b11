"""A workflow's metrics over HTTP: counted from its runs, with a bar for every step of the chart."""

from datetime import UTC, datetime, timedelta

import pytest

from models.rules.executions.states import ExecutionStatus
from models.rules.values.periods import TimeRange, steps
from tests.support import factories

NOW = datetime(2027, 3, 14, 15, 27, 31, tzinfo=UTC)


@pytest.fixture
def workflow(session, user):
    return factories.workflow(session, user)


def run(session, workflow, *, ago: timedelta, took: float | None = None, **columns):
    """A run that was submitted a while ago."""
    submitted = datetime.now(UTC) - ago
    if took is not None:
        columns |= {"started_at": submitted, "finished_at": submitted + timedelta(seconds=took)}
    row = factories.execution(session, workflow, created_at=submitted, **columns)
    session.commit()
    return row


def metrics(client, workflow, time_range="24h"):
    return client.get(f"/api/workflows/{workflow.id}/metrics?timeRange={time_range}")


def test_says_how_many_went_how_and_how_long_they_took(client, session, workflow):
    for seconds in (1, 2, 3, 4):
        run(
            session,
            workflow,
            ago=timedelta(minutes=10),
            took=seconds,
            status=ExecutionStatus.SUCCESS,
            credits_charged=1,
        )
    error = {"code": "timeout", "nodeId": "a", "message": "It took too long."}
    for _ in range(2):
        run(session, workflow, ago=timedelta(minutes=5), took=10, status=ExecutionStatus.FAILED, error=error)
    run(session, workflow, ago=timedelta(minutes=1))
    found = metrics(client, workflow).json
    assert found | {"series": [], "failures": []} == {
        "workflowId": str(workflow.id),
        "timeRange": "24h",
        "from": found["from"],
        "to": found["to"],
        "totalExecutions": 7,
        "successfulExecutions": 4,
        "failedExecutions": 2,
        "cancelledExecutions": 0,
        "activeExecutions": 1,
        "successRate": 66.7,
        "averageDuration": 5,
        "p50Duration": 3.5,
        "p95Duration": 10,
        "nodesExecuted": 0,
        "creditsUsed": 4,
        "series": [],
        "failures": [],
    }
    (failure,) = found["failures"]
    assert {name: failure[name] for name in error} == error
    assert failure["count"] == 2


def test_has_a_bar_for_every_step_and_counts_each_run_in_one(client, session, workflow):
    for ago in (timedelta(0), timedelta(minutes=31), timedelta(hours=5), timedelta(days=3), timedelta(days=20)):
        run(session, workflow, ago=ago, took=1, status=ExecutionStatus.SUCCESS)
    counts = {}
    for time_range in TimeRange:
        series = metrics(client, workflow, time_range.value).json["series"]
        counts[time_range.value] = (len(series), sum(bar["executions"] for bar in series))
    assert counts == {"1h": (12, 2), "24h": (24, 3), "7d": (7, 4), "30d": (30, 5)}


def test_of_a_workflow_that_never_ran_is_all_zeros(client, workflow):
    found = metrics(client, workflow, "1h").json
    assert (found["totalExecutions"], found["creditsUsed"], found["successRate"], found["p95Duration"]) == (
        0,
        0,
        None,
        None,
    )


def test_knows_four_ranges(client, workflow):
    answer = metrics(client, workflow, "2h")
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "timeRange")


def test_of_a_workflow_of_others_is_not_there(sign_in, other, workflow):
    assert metrics(sign_in(other), workflow).status_code == 404


@pytest.mark.parametrize(
    ("time_range", "first", "last"),
    [
        ("1h", datetime(2027, 3, 14, 14, 30, tzinfo=UTC), datetime(2027, 3, 14, 15, 25, tzinfo=UTC)),
        ("24h", datetime(2027, 3, 13, 16, tzinfo=UTC), datetime(2027, 3, 14, 15, tzinfo=UTC)),
        ("7d", datetime(2027, 3, 8, tzinfo=UTC), datetime(2027, 3, 14, tzinfo=UTC)),
        ("30d", datetime(2027, 2, 13, tzinfo=UTC), datetime(2027, 3, 14, tzinfo=UTC)),
    ],
)
def test_bars_begin_on_the_hour_or_the_day(time_range, first, last):
    found = steps(TimeRange(time_range), NOW)
    assert (found[0], found[-1]) == (first, last)
