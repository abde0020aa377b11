"""ETag, If-None-Match and If-Match of a workflow: a client does not overwrite changes that it has not seen."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from models.db import SessionFactory
from models.rules.prices.pricing import Tier
from models.tables import KeyScope
from tests.api.conftest import ORIGIN
from tests.support.api.accounts import register
from tests.support.api.graphs import node, two_steps, workflow


@pytest.fixture
def made(client) -> Any:
    """The answer to a workflow that was just saved."""
    answer = client.post("/api/workflows", json=workflow())
    assert answer.status_code == 201
    return answer


@pytest.fixture
def address(made) -> str:
    return made.headers["Location"]


def tag_of(client, address: str) -> str:
    return client.get(address).headers["ETag"]


def save(client, address: str, tag: str | None = None, **body: Any):
    headers = {} if tag is None else {"If-Match": tag}
    return client.put(address, json=body or {"name": "Renamed"}, headers=headers)


def weak(tag: str) -> str:
    """As nginx sends it when it compresses an answer."""
    return f"W/{tag}"


class TestTheTag:
    def test_is_on_every_answer_of_one_workflow(self, client, made, address):
        assert made.headers["ETag"] == tag_of(client, address)
        saved = save(client, address, nodes=[node("in", "input", b=1.0, a=[1e22, -1e-7, "ä"])], connections=[])
        assert saved.headers["ETag"] == tag_of(client, address) != made.headers["ETag"]
        restored = client.post(f"{address}/versions/1/restore")
        assert restored.headers["ETag"] == tag_of(client, address) != saved.headers["ETag"]
        template = client.post("/templates", json={"name": "T", "category": "data", **two_steps()}).json["template"]
        copied = client.post(f"/templates/{template['id']}/instantiate")
        assert copied.headers["ETag"] == tag_of(client, copied.headers["Location"])

    def test_is_strong_and_the_same_on_every_route(self, client, made, address):
        assert made.headers["ETag"].startswith('"')
        assert tag_of(client, address.replace("/api", "/v1")) == made.headers["ETag"]

    def test_comes_again_with_a_first_answer(self, client):
        first, again = (
            client.post("/workflows", json=workflow(), headers={"Idempotency-Key": "once"}) for _ in range(2)
        )
        assert first.headers["ETag"] == again.headers["ETag"]

    @pytest.mark.parametrize(
        "body",
        [
            {"name": "Other"},
            {"description": "Other"},
            {"status": "draft"},
            {"timeout": 60},
            {"maxQueueSeconds": 60},
            {"nodes": [node("in", "input", inputType="text")], "connections": []},
            {"nodes": [node("call", "api_call")], "connections": []},
        ],
        ids=str,
    )
    def test_is_another_after_every_change(self, client, address, body):
        before = client.get(address)
        assert save(client, address, **body).status_code == 200
        after = client.get(address)
        assert after.json != before.json
        assert after.headers["ETag"] != before.headers["ETag"]

    def test_is_another_when_what_it_runs_goes_away(self, client, made):
        below = made.json["workflow"]["id"]
        above = client.post(
            "/workflows", json=workflow(nodes=[node("sub", "subworkflow", workflowId=below)], connections=[])
        )
        address = above.headers["Location"]
        assert client.get(address).json["workflow"]["status"] == "active"
        client.delete(f"/workflows/{below}")
        shown = client.get(address, headers={"If-None-Match": above.headers["ETag"]})
        assert (shown.status_code, shown.json["workflow"]["status"]) == (200, "draft")

    def test_is_another_when_the_tier_allows_less(self, client, address, user, session):
        before = tag_of(client, address)
        graph = {"nodes": [node(f"n{number}", "input") for number in range(11)], "connections": []}
        session.execute(text("UPDATE users SET subscription_tier = 'premium'"))
        session.commit()
        large = save(client, address, **graph).headers["ETag"]
        session.execute(text("UPDATE users SET subscription_tier = :tier"), {"tier": Tier.FREE})
        session.commit()
        assert len({before, large, tag_of(client, address)}) == 3


class TestReading:
    def test_what_is_known_is_not_sent_again(self, client, made, address):
        tag = made.headers["ETag"]
        for known in (tag, weak(tag), f'"other", {weak(tag)}', "*"):
            answer = client.get(address, headers={"If-None-Match": known})
            assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", tag)
        assert client.get(address, headers={"If-None-Match": '"other"'}).status_code == 200

    def test_what_is_not_there_is_not_unchanged(self, client):
        answer = client.get(f"/workflows/{UUID(int=1)}", headers={"If-None-Match": "*"})
        assert answer.status_code == 404


class TestSaving:
    @pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"other",W/{} , "more"', ", {},", "*"])
    def test_goes_on_with_the_tag_of_what_is_stored(self, client, made, address, form):
        saved = save(client, address, form.format(made.headers["ETag"]))
        assert (saved.status_code, saved.json["workflow"]["name"]) == (200, "Renamed")

    @pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '""', '"*"'])
    def test_over_an_unseen_change_is_refused_with_what_is_stored(self, client, made, address, form):
        theirs = save(client, address, name="Theirs", nodes=[node("in", "input")], connections=[])
        answer = save(client, address, form.format(made.headers["ETag"]))
        assert (answer.status_code, answer.json["code"]) == (412, "precondition_failed")
        assert answer.mimetype == "application/problem+json"
        assert answer.json["workflow"] == theirs.json["workflow"]
        assert "version 2" in answer.json["message"]
        assert answer.headers["ETag"] == theirs.headers["ETag"]
        assert client.get(address).json["workflow"]["name"] == "Theirs"
        assert save(client, address, answer.headers["ETag"]).status_code == 200

    @pytest.mark.parametrize("header", ["", "abc", '"abc', "W/abc", '"a" "b"', 'w/"a"', '*, "a"', '"a b"', "W/*", ","])
    def test_with_a_tag_that_is_none_is_refused_and_says_how_one_looks(self, client, address, header):
        answer = save(client, address, header)
        assert (answer.status_code, answer.json["code"]) == (400, "malformed_if_match")
        assert '"' in answer.json["message"]
        assert client.get(address).json["workflow"]["name"] == "Echo"

    def test_without_a_tag_wins_and_the_lost_version_is_in_the_history(self, client, made, address):
        lost = {"nodes": [node("theirs", "input")], "connections": []}
        save(client, address, name="Theirs", description="Not yet seen", **lost)
        save(client, address, name="Mine", nodes=[node("mine", "input")], connections=[])
        assert client.get(address).json["workflow"]["nodes"][0]["id"] == "mine"
        versions = client.get(f"{address}/versions").json["versions"]
        assert [version["version"] for version in versions] == [3, 2, 1]
        kept = client.get(f"{address}/versions/2").json["version"]
        assert (kept["name"], kept["description"], kept["nodes"]) == ("Theirs", "Not yet seen", lost["nodes"])

    def test_of_what_is_not_there_or_misshapen_says_that_first(self, client, address):
        assert save(client, f"/workflows/{UUID(int=1)}", "*").status_code == 404
        assert save(client, address, '"other"', name="").status_code == 422

    def test_shows_a_key_that_may_not_read_nothing(self, app, client, address):
        body = {"name": "Program", "scopes": [KeyScope.WORKFLOWS_WRITE]}
        key = client.post("/access-keys", json=body).json["key"]
        headers = {"Authorization": f"Bearer {key}", "If-Match": '"other"'}
        for sent in ({"name": "Mine"}, workflow()):
            answer = app.test_client().put(address, json=sent, headers=headers)
            assert (answer.status_code, answer.headers["Missing-Scope"]) == (412, "workflows:read")
            assert "workflow" not in answer.json
            assert "Echo" not in answer.text

    def test_an_old_version_again_and_deleting_heed_the_tag_too(self, client, made, address):
        old = {"If-Match": made.headers["ETag"]}
        new = {"If-Match": save(client, address, nodes=[node("in", "input")], connections=[]).headers["ETag"]}
        assert client.post(f"{address}/versions/1/restore", headers=old).status_code == 412
        assert client.delete(address, headers=old).status_code == 412
        restored = client.post(f"{address}/versions/1/restore", headers=new)
        assert restored.status_code == 200
        assert client.delete(address, headers={"If-Match": restored.headers["ETag"]}).status_code == 204


class TestAtTheSameTime:
    def test_one_of_those_who_saw_the_same_wins(self, app, committed_database, redis_url, sent):
        client = app.test_client()
        token = register(client, {"email": "ada@example.com", "password": "correct horse", "name": "Ada"})
        login = {"Authorization": f"Bearer {token}"}
        made = client.post("/workflows", json=workflow(), headers=login)
        address, tag = made.headers["Location"], made.headers["ETag"]

        def put(number: int) -> tuple[int, str]:
            answer = app.test_client().put(
                address,
                json={"name": f"Phone {number}", "nodes": [node(f"n{number}", "input")], "connections": []},
                headers={"If-Match": tag, **login},
            )
            return answer.status_code, answer.json["workflow"]["name"]

        with SessionFactory() as elsewhere, ThreadPoolExecutor(4) as pool:
            elsewhere.execute(text("SELECT FROM workflows FOR UPDATE"))
            saves = [pool.submit(put, number) for number in range(4)]
            _until_waiting(len(saves))
            elsewhere.rollback()
            answers = [save.result() for save in saves]
        (winner,) = [name for status, name in answers if status == 200]
        assert [told for told in answers if told[0] != 200] == [(412, winner)] * 3
        shown = client.get(address, headers=login).json["workflow"]
        assert (shown["name"], shown["version"]) == (winner, 2)


def _until_waiting(count: int) -> None:
    """Until so many connections wait for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    until = time.monotonic() + 20
    with SessionFactory() as session:
        while session.scalar(waiting) < count:
            assert time.monotonic() < until, "they did not come to wait"
            session.rollback()
            time.sleep(0.01)


class TestBrowsers:
    def test_may_send_and_read_tags(self, stranger):
        asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
        answer = stranger.options(f"/workflows/{UUID(int=1)}", headers=asked)
        allowed = answer.headers["Access-Control-Allow-Headers"].split(", ")
        assert {"If-Match", "If-None-Match"} <= set(allowed)
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"].split(", ")


class TestEditorsThatSaveThemselves:
    def save(self, client, address: str, tag: str, *ids: str):
        body = {"nodes": [node(name, "input") for name in ids], "connections": [], "autosave": True}
        return client.put(address, json=body, headers={"If-Match": tag})

    def test_make_one_version_with_a_tag_for_each_save(self, client, made, address):
        first = self.save(client, address, made.headers["ETag"], "a")
        (began, *_) = client.get(f"{address}/versions").json["versions"]
        second = self.save(client, address, first.headers["ETag"], "a", "b")
        assert [answer.json["workflow"]["version"] for answer in (first, second)] == [2, 2]
        assert len({made.headers["ETag"], first.headers["ETag"], second.headers["ETag"]}) == 3
        versions = client.get(f"{address}/versions").json["versions"]
        assert [row["nodeCount"] for row in versions] == [2, 2]
        assert [row["firstSavedAt"] for row in versions] == [began["createdAt"], versions[1]["createdAt"]]

    def test_are_told_of_each_other_s_saves_within_one_version(self, client, made, address):
        """Two tabs of one session: the second one saw the first save of the version, and not the next."""
        seen = self.save(client, address, made.headers["ETag"], "a").headers["ETag"]
        newer = self.save(client, address, seen, "a", "b")
        refused = self.save(client, address, seen, "a", "c")
        assert (refused.status_code, refused.headers["ETag"]) == (412, newer.headers["ETag"])
        assert [item["id"] for item in client.get(address).json["workflow"]["nodes"]] == ["a", "b"]
