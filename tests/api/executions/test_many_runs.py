"""Many runs at once: found by their tags and words, cancelled and retried, each with an outcome of its own."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from models.rules.executions.states import ExecutionStatus
from models.services.credits import ledger
from models.services.executions import bulk
from models.tables import Execution
from tasks.queue import TaskName
from tests.support.api.graphs import workflow

NOBODYS = str(uuid4())


@pytest.fixture
def workflow_id(client) -> str:
    return client.post("/workflows", json=workflow()).json["workflow"]["id"]


def started(client, workflow_id, **body) -> str:
    answer = client.post(f"/workflows/{workflow_id}/execute", json=body)
    assert answer.status_code == 202, answer.json
    return answer.json["id"]


def fail(session, *ids) -> None:
    failed = {"status": ExecutionStatus.FAILED, "finished_at": func.now(), "error": {"message": "No answer."}}
    for run_id in ids:
        ledger.settle(session, UUID(run_id), Decimal(0))
    session.execute(update(Execution).where(Execution.id.in_(ids)).values(failed))
    session.commit()


def listed(client, **query) -> list[str]:
    answer = client.get("/executions", query_string=query)
    assert answer.status_code == 200, answer.json
    return [run["id"] for run in answer.json["executions"]]


class TestTags:
    def test_are_given_at_submission_and_shown(self, client, workflow_id):
        run_id = started(client, workflow_id, tags=["nightly", "customer 7"])
        assert client.get(f"/executions/{run_id}").json["tags"] == ["nightly", "customer 7"]
        plain = started(client, workflow_id)
        assert client.get(f"/executions/{plain}").json["tags"] == []
        assert listed(client, tag="customer 7") == [run_id]

    @pytest.mark.parametrize("tags", [["x"] * 11, ["x" * 41], [""], ["  "], ["a\nb"], [7], "nightly"])
    def test_are_few_short_words(self, client, workflow_id, tags):
        answer = client.post(f"/workflows/{workflow_id}/execute", json={"tags": tags})
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_input")
        assert answer.json["errors"][0]["field"].startswith("tags")


class TestTheList:
    def test_is_searched_and_filtered(self, client, session, workflow_id):
        first, second = started(client, workflow_id, tags=["nightly"]), started(client, workflow_id)
        fail(session, second)
        assert listed(client, query="answer") == [second]
        assert listed(client, query="night") == [first]
        assert listed(client, workflowId=workflow_id, status="queued") == [first]
        assert listed(client, **{"from": "2100-01-01T00:00:00Z"}) == []
        assert listed(client, **{"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}) == [
            run for run in listed(client) if run in (first, second)
        ]
        assert client.get(f"/executions?workflowId={NOBODYS}").status_code == 404

    def test_goes_on_after_a_page(self, client, workflow_id):
        ids = [started(client, workflow_id, tags=["nightly"]) for _ in range(3)]
        page = client.get("/executions?tag=nightly&limit=2").json
        rest = client.get(f"/executions?tag=nightly&limit=2&cursor={page['nextCursor']}").json
        assert [len(part["executions"]) for part in (page, rest)] == [2, 1]
        assert {run["id"] for part in (page, rest) for run in part["executions"]} == set(ids)


class TestCancellingMany:
    def test_says_of_each_what_became_of_it(self, client, session, workflow_id, sent):
        queued, ended = started(client, workflow_id), started(client, workflow_id)
        fail(session, ended)
        sent.clear()
        answer = client.post("/executions/cancel", json={"ids": [queued, ended, NOBODYS, queued]})
        assert answer.status_code == 200, answer.json
        outcomes = {outcome["id"]: outcome for outcome in answer.json["results"]}
        assert len(answer.json["results"]) == 3
        assert (outcomes[queued]["accepted"], outcomes[queued]["status"]) == (True, "cancelled")
        assert (outcomes[ended]["accepted"], outcomes[ended]["code"]) == (False, "already_finished")
        assert outcomes[NOBODYS]["code"] == "not_found"
        assert [message.ids["execution_id"] for message in sent if message.task is TaskName.DRIVE_EXECUTION] == [queued]

    def test_does_not_touch_runs_of_others(self, client, other, sign_in, session, new_user):
        stranger = sign_in(other)
        theirs = started(stranger, stranger.post("/workflows", json=workflow()).json["workflow"]["id"])
        answer = client.post("/executions/cancel", json={"ids": [theirs]})
        assert answer.json["results"][0]["code"] == "not_found"
        assert stranger.get(f"/executions/{theirs}").json["status"] == "queued"

    def test_takes_a_filter_and_goes_on_after_as_many_as_it_takes(self, client, workflow_id, monkeypatch):
        monkeypatch.setattr(bulk, "MAX_RUNS", 2)
        tagged = [started(client, workflow_id, tags=["nightly"]) for _ in range(3)]
        other = started(client, workflow_id)
        first = client.post("/executions/cancel", json={"filter": {"tag": "nightly"}}).json
        again = {"filter": {"tag": "nightly", "cursor": first["nextCursor"]}}
        rest = client.post("/executions/cancel", json=again).json
        assert ([len(part["results"]) for part in (first, rest)], rest["nextCursor"]) == ([2, 1], None)
        assert {outcome["id"] for part in (first, rest) for outcome in part["results"]} == set(tagged)
        assert client.get(f"/executions/{other}").json["status"] == "queued"

    @pytest.mark.parametrize(
        "body", [{}, {"ids": [], "filter": {}}, {"ids": [NOBODYS] * 101}, {"ids": ["x"]}, {"ids": None}]
    )
    def test_needs_ids_or_a_filter(self, client, body):
        answer = client.post("/executions/cancel", json=body)
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_input")


class TestRetryingMany:
    def test_starts_a_run_for_each_that_failed(self, client, session, workflow_id, sent):
        failed, queued = started(client, workflow_id, tags=["nightly"]), started(client, workflow_id)
        fail(session, failed)
        sent.clear()
        results = client.post("/executions/retry", json={"ids": [failed, queued]}).json["results"]
        assert [outcome["accepted"] for outcome in results] == [True, False]
        assert results[1]["code"] == "not_retryable"
        new = results[0]["executionId"]
        assert client.get(f"/executions/{new}").json["tags"] == ["nightly"]
        assert [message.ids["execution_id"] for message in sent if message.task is TaskName.DRIVE_EXECUTION] == [new]

    def test_pays_for_as_many_as_the_credits_cover(self, client, session, workflow_id):
        """The others are refused; none is half submitted."""
        failed = [started(client, workflow_id) for _ in range(6)]
        fail(session, *failed)
        others = [started(client, workflow_id) for _ in range(4)]
        assert others
        before = client.get("/credits/balance").json
        results = client.post("/executions/retry", json={"ids": failed}).json["results"]
        accepted = [outcome for outcome in results if outcome["accepted"]]
        refused = {outcome["code"] for outcome in results if not outcome["accepted"]}
        assert 0 < len(accepted) < len(failed)
        assert refused == {"insufficient_credits"}
        after = client.get("/credits/balance").json
        assert after["held"] - before["held"] == pytest.approx(1.2 * len(accepted))
        retried = session.scalars(select(func.count()).where(Execution.retry_of.in_(failed))).one()
        assert retried == len(accepted)

    def test_has_one_effect_with_one_key(self, client, session, workflow_id):
        failed = started(client, workflow_id)
        fail(session, failed)
        key = {"Idempotency-Key": "bulk-1"}
        body = {"filter": {"status": "failed"}}
        first, second = (client.post("/executions/retry", json=body, headers=key).json for _ in range(2))
        assert first["results"] == second["results"] != []
