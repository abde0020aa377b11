"""A POST with an Idempotency-Key acts once, however often it is sent."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.tables import Execution, IdempotencyKey, Workflow
from tests.support.api.accounts import register
from tests.support.api.graphs import workflow


def post(client, body, key: str = "k-1", path: str = "/workflows"):
    return client.post(path, json=body, headers={"Idempotency-Key": key})


def count(session: Session, table) -> int:
    return session.scalar(select(func.count()).select_from(table))


class TestRepeats:
    def test_the_first_answer_is_given_again(self, client, session):
        first = post(client, workflow(), path="/api/workflows")
        again = post(client, workflow(), path="/v1/workflows")
        assert first.status_code == again.status_code == 201
        assert again.json == first.json
        assert again.headers["Location"] == first.headers["Location"]
        assert again.headers["Idempotent-Replayed"] == "true"
        assert count(session, Workflow) == 1

    def test_a_run_starts_once_and_is_enqueued_once(self, client, session, sent):
        workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
        answers = [post(client, {"input": 1}, path=f"/workflows/{workflow_id}/execute") for _ in range(3)]
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json["id"] for answer in answers}) == 1
        assert count(session, Execution) == 1
        assert len(sent) == 1
        assert client.get("/credits/balance").json["held"] == 1.2

    @pytest.mark.parametrize("left", [0, 50])
    def test_a_repeat_is_not_measured_against_the_credits_that_are_left(self, client, session, left):
        workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
        first = post(client, {}, path=f"/workflows/{workflow_id}/execute")
        session.execute(text("UPDATE credits SET balance = held + :left"), {"left": left})
        again = post(client, {}, path=f"/workflows/{workflow_id}/execute")
        assert (again.status_code, again.json["id"]) == (202, first.json["id"])
        assert client.get("/credits/balance").json["held"] == 1.2

    def test_another_body_is_refused(self, client, session):
        post(client, workflow())
        answer = post(client, workflow(name="Other"))
        assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")
        assert count(session, Workflow) == 1

    def test_another_address_is_another_request(self, client):
        post(client, {}, path=f"/workflows/{client.post('/workflows', json=workflow()).json['workflow']['id']}/execute")
        assert post(client, workflow()).json["code"] == "idempotency_key_reused"

    def test_keys_of_different_users_have_nothing_to_do_with_each_other(self, client, sign_in, other):
        mine, theirs = post(client, workflow()), post(sign_in(other), workflow())
        assert mine.json["workflow"]["id"] != theirs.json["workflow"]["id"]

    def test_what_was_refused_may_be_tried_again(self, client, session):
        assert post(client, {"name": ""}).status_code == 422
        assert count(session, IdempotencyKey) == 0
        assert post(client, workflow()).status_code == 201

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é", "tab\tbed"])
    def test_a_key_that_is_none_is_named(self, client, key):
        answer = post(client, workflow(), key)
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "Idempotency-Key")


class TestAtTheSameTime:
    def test_the_second_gets_a_409_while_the_first_is_in_progress(self, client, session, user, engine):
        name = f"{user.id}:k-1"
        with engine.connect() as elsewhere:
            elsewhere.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})
            answer = post(client, workflow())
            assert (answer.status_code, answer.json["code"]) == (409, "idempotency_in_progress")
            elsewhere.rollback()
        assert post(client, workflow()).status_code == 201

    def test_many_at_once_act_once(self, app, committed_database, redis_url, sent):
        client = app.test_client()
        account = {"email": "ada@example.com", "password": "correct horse", "name": "Ada"}
        headers = {"Authorization": f"Bearer {register(client, account)}"}
        sent.clear()
        workflow_id = client.post("/workflows", json=workflow(), headers=headers).json["workflow"]["id"]

        def execute(_: int) -> int:
            path, key = f"/workflows/{workflow_id}/execute", {"Idempotency-Key": "k-1", **headers}
            return app.test_client().post(path, json={"input": 1}, headers=key).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(execute, range(16)))
        assert set(statuses) <= {202, 409}
        assert 202 in statuses
        assert client.get("/executions", headers=headers).json["count"] == 1
        assert client.get("/credits/balance", headers=headers).json["held"] == 1.2
        assert len(sent) == 1
