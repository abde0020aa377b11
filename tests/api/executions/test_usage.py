"""Usage over HTTP: charged exactly once, never more than is free, and summed up for charts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from models.rules.executions.states import ExecutionStatus
from models.services.credits import ledger
from tests.support import factories
from tests.support.api.graphs import workflow

PATHS = ("/api/usage/track", "/api/credits/usage/track")


@pytest.fixture
def workflow_id(client) -> str:
    return client.post("/workflows", json=workflow()).json["workflow"]["id"]


@pytest.fixture
def report(client, workflow_id):
    """Report usage, by default one call of Anthropic."""

    def send(path: str = PATHS[0], headers: dict[str, str] | None = None, **fields):
        said = {"workflowId": workflow_id, "resourceType": "api_call_anthropic", "amount": 1} | fields
        return client.post(path, json=said, headers=headers or {})

    return send


class TestTracking:
    @pytest.mark.parametrize("path", PATHS)
    def test_charges_the_price_of_the_list(self, client, session, report, path):
        answer = report(path, amount=2)
        assert answer.status_code == 200
        assert answer.json == {"success": True, "creditsCharged": 6, "remainingBalance": 4}
        newest = client.get("/credits/history").json["transactions"][0]
        assert (newest["type"], newest["amount"], newest["source"]) == ("debit", 6, "usage")
        assert newest["reason"] == "Usage: 2 x api_call_anthropic"
        assert ledger.violations(session) == []

    @pytest.mark.parametrize(
        ("resource", "amount", "cost"),
        [
            ("storage_mb", 1, 0.01),
            ("storage_mb", 0.5, 0.01),
            ("storage_mb", 101, 1.01),
            ("node_execution", 3, 0.3),
            ("node_execution", 0.1 + 0.2, 0.04),
            ("workflow_execution", 10, 10),
        ],
    )
    def test_rounds_parts_of_a_cent_up(self, report, resource, amount, cost):
        assert report(resourceType=resource, amount=amount).json["creditsCharged"] == cost

    def test_is_refused_when_short_and_charges_nothing(self, client, report):
        answer = report(amount=4)
        assert (answer.status_code, answer.json["code"]) == (402, "insufficient_credits")
        assert client.get("/credits/balance").json["balance"] == 10

    def test_never_spends_what_a_run_holds(self, client, report, workflow_id):
        client.post(f"/workflows/{workflow_id}/execute")
        assert client.get("/credits/balance").json["available"] == 8.8
        assert report(amount=3).status_code == 402
        assert report(resourceType="workflow_execution", amount=8.8).json["remainingBalance"] == 1.2

    def test_with_a_key_happens_once(self, client, report):
        answers = [report(headers={"Idempotency-Key": "k-1"}) for _ in range(3)]
        assert [answer.json for answer in answers] == [answers[0].json] * 3
        assert client.get("/credits/balance").json["balance"] == 7

    def test_without_a_key_happens_each_time(self, client, report):
        assert [report().json["remainingBalance"] for _ in range(2)] == [7, 4]

    @pytest.mark.parametrize("known", ["a7f0c1de-0000-4000-8000-0123456789ab", "template_1", "1764410400000", None])
    def test_takes_a_workflow_that_only_the_phone_knows(self, client, report, known):
        answer = report(workflowId=known, timestamp="2026-11-29T10:00:00.000Z")
        assert (answer.status_code, answer.json["remainingBalance"]) == (200, 7)
        newest = client.get("/credits/history").json["transactions"][0]
        assert (newest["source"], newest["workflowId"]) == ("usage", known)

    def test_accepts_usage_without_a_workflow(self, client):
        said = {"resourceType": "storage_mb", "amount": 1, "timestamp": "2026-11-29T10:00:00.000Z"}
        assert client.post("/usage/track", json=said).json["creditsCharged"] == 0.01

    @pytest.mark.parametrize("nothing", [0, 0.0, -0.0])
    def test_of_nothing_costs_nothing_and_leaves_no_entry(self, client, report, nothing):
        before = client.get("/credits/history").json["transactions"]
        answer = report(amount=nothing)
        assert answer.status_code == 200
        assert answer.json == {"success": True, "creditsCharged": 0, "remainingBalance": 10}
        assert client.get("/credits/history").json["transactions"] == before

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("workflowId", 7),
            ("workflowId", ""),
            ("workflowId", "x" * 65),
            ("resourceType", "gold"),
            ("resourceType", None),
            ("resourceType", ["storage_mb"]),
            ("amount", -1),
            ("amount", "5"),
            ("amount", None),
            ("amount", True),
            ("amount", 1e300),
            ("amount", 999_999_999_999),
            ("amount", [1]),
        ],
    )
    def test_names_what_is_wrong(self, client, report, field, value):
        answer = report(**{field: value})
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)
        assert client.get("/credits/balance").json["balance"] == 10

    @pytest.mark.parametrize("field", ["resourceType", "amount"])
    def test_needs_every_field(self, client, field):
        said = {"workflowId": str(uuid4()), "resourceType": "storage_mb", "amount": 1}
        del said[field]
        answer = client.post(PATHS[0], json=said)
        assert [error["field"] for error in answer.json["errors"]] == [field]


FIELDS = {
    "allowances",
    "period",
    "from",
    "to",
    "totalExecutions",
    "successfulExecutions",
    "failedExecutions",
    "cancelledExecutions",
    "nodesExecuted",
    "successRate",
    "averageDuration",
    "creditsUsed",
    "creditsAdded",
    "creditsBySource",
    "series",
}


class TestStatistics:
    @pytest.mark.parametrize(("period", "count"), [("day", 24), ("week", 7), ("month", 30), ("year", 12)])
    def test_have_a_bar_for_every_part_of_the_period(self, client, period, count):
        answer = client.get(f"/api/usage/stats?period={period}").json
        assert set(answer) == FIELDS
        assert answer["period"] == period
        assert len(answer["series"]) == count
        assert answer["series"][0]["start"] == answer["from"]
        assert answer["series"][-1]["start"] <= answer["to"]
        assert answer["series"][-1]["creditsAdded"] == answer["creditsAdded"] == 10
        assert (answer["totalExecutions"], answer["successRate"], answer["averageDuration"]) == (0, None, None)

    def test_add_up_runs_and_credits(self, client, session, user, report):
        row = factories.workflow(session, user)
        ends = (ExecutionStatus.SUCCESS, ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED)
        for status in ends:
            factories.execution(session, row, status=status, credits_charged=Decimal(1), nodes_executed=2)
        factories.execution(session, row)
        session.execute(text("UPDATE workflow_executions SET started_at = finished_at - interval '3 seconds'"))
        session.commit()
        report()
        answer = client.get("/usage/stats").json
        assert answer["period"] == "month"
        words = ("total", "successful", "failed", "cancelled")
        assert [answer[f"{word}Executions"] for word in words] == [5, 2, 1, 1]
        assert (answer["nodesExecuted"], answer["successRate"], answer["averageDuration"]) == (8, 66.7, 3)
        assert (answer["creditsUsed"], answer["creditsBySource"]) == (7, {"execution": 4, "usage": 3})
        bar = answer["series"][-1]
        assert (bar["executions"], bar["successful"], bar["failed"], bar["creditsUsed"]) == (5, 2, 1, 7)

    def test_leave_out_what_is_older_and_what_is_others(self, client, session, user, other):
        factories.execution(session, factories.workflow(session, other))
        mine = factories.workflow(session, user)
        for days in (1, 20, 400):
            factories.execution(session, mine, created_at=datetime.now(UTC) - timedelta(days=days), cap=0)
        session.commit()
        totals = [client.get(f"/usage/stats?period={period}").json for period in ("day", "week", "month", "year")]
        assert [total["totalExecutions"] for total in totals] == [0, 1, 2, 2]
        assert [sum(bar["executions"] for bar in total["series"]) for total in totals] == [0, 1, 2, 2]

    def test_of_this_month_begin_with_the_month_of_the_time_zone(self, client):
        for name in ("UTC", "Pacific/Auckland", "America/Los_Angeles"):
            before, after = (datetime.now(ZoneInfo(name)) for _ in range(2))
            answer = client.get("/usage/stats", query_string={"period": "this_month", "timeZone": name}).json
            start = datetime.fromisoformat(answer["from"]).astimezone(ZoneInfo(name))
            assert (start.day, start.hour, start.minute) == (1, 0, 0)
            assert start.month in (before.month, after.month)
            assert len(answer["series"]) in (before.day, after.day)

    def test_put_each_run_into_the_day_of_the_time_zone(self, client, session, user):
        zone = ZoneInfo("Asia/Kathmandu")
        midnight = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        row = factories.workflow(session, user)
        for minutes in (-1, 0):
            factories.execution(session, row, created_at=midnight + timedelta(minutes=minutes), cap=0)
        session.commit()
        bars = client.get("/usage/stats", query_string={"period": "week", "timeZone": zone.key}).json["series"]
        assert [bar["executions"] for bar in bars[-2:]] == [1, 1]
        assert datetime.fromisoformat(bars[-1]["start"]) == midnight

    @pytest.mark.parametrize("name", ["Mars/Base", "", "../etc/passwd", "localtime"])
    def test_of_a_time_zone_that_is_none_are_refused(self, client, name):
        answer = client.get("/usage/stats", query_string={"timeZone": name})
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "timeZone")

    def test_of_a_period_that_is_none_are_refused(self, client):
        answer = client.get("/usage/stats?period=decade")
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "period")
