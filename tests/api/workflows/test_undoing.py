"""What was changed or deleted by mistake is seen and taken back."""

from types import MappingProxyType

import pytest
from sqlalchemy import text

from models.rules.prices.pricing import PLANS, Tier
from models.services.accounts import account_access
from models.services.operations.pruning import prune
from models.services.workflows import templates
from tests.support.api.graphs import node, two_steps, workflow


@pytest.fixture
def workflow_id(client) -> str:
    return client.post("/workflows", json=workflow()).json["workflow"]["id"]


def test_a_version_shows_what_it_changed(client, workflow_id):
    changed = workflow(name="Echo twice")
    changed["nodes"][1]["config"] = {"outputType": "text"}
    changed["nodes"].append(node("more", "output"))
    assert client.put(f"/workflows/{workflow_id}", json=changed).status_code == 200
    found = client.get(f"/workflows/{workflow_id}/versions/1/diff/2").json
    assert (found["fromVersion"], found["toVersion"]) == (1, 2)
    assert found["details"] == [{"field": "name", "before": "Echo", "after": "Echo twice"}]
    assert [one["id"] for one in found["added"]] == ["more"]
    assert [(one["id"], one["fields"]) for one in found["changed"]] == [
        ("out", [{"field": "config.outputType", "before": "json", "after": "text"}])
    ]
    assert client.get(f"/workflows/{workflow_id}/versions/1/diff/3").status_code == 404


class TestUndeletingTemplates:
    OWN = MappingProxyType({"name": "Mine", "category": "mine", **two_steps(), "published": True})

    @pytest.fixture
    def address(self, client) -> str:
        address = client.post("/templates", json=dict(self.OWN)).headers["Location"]
        assert client.delete(address).status_code == 204
        return address

    def test_brings_one_back_as_it_was(self, client, sign_in, other, address):
        eve = sign_in(other)
        assert [asker.get(address).status_code for asker in (client, eve)] == [404, 404]
        assert client.put(address, json={"name": "Better"}).status_code == 404
        assert client.delete(address).status_code == 404
        assert client.get("/templates?own=true").json["count"] == 0
        assert "mine" not in client.get("/templates/categories").text
        answer = client.post(f"{address}/undelete")
        assert (answer.status_code, answer.json["template"]["published"]) == (200, True)
        assert [asker.get(address).json for asker in (client, eve)] == [answer.json] * 2

    def test_is_too_late_after_ten_minutes_and_then_it_is_pruned(self, client, session, address):
        session.execute(text("UPDATE templates SET deleted_at = deleted_at - interval '10 minutes'"))
        session.commit()
        assert client.post(f"{address}/undelete").status_code == 404
        session.execute(text("UPDATE templates SET deleted_at = deleted_at - interval '1 hour'"))
        assert prune(session).templates == 1
        assert session.scalar(text("SELECT count(*) FROM templates WHERE owner_id IS NOT NULL")) == 0

    def test_changes_nothing_for_a_template_that_is_there(self, client, address):
        restored = client.post(f"{address}/undelete").json
        assert client.post(f"{address}/undelete").json == restored

    def test_needs_room(self, client, monkeypatch, address):
        monkeypatch.setattr(templates, "MAX_OWNED", 1)
        assert client.post("/templates", json=dict(self.OWN)).status_code == 201
        refused = client.post(f"{address}/undelete")
        assert (refused.status_code, refused.json["code"]) == (403, "template_limit_reached")

    def test_is_not_for_others(self, sign_in, other, address):
        assert sign_in(other).post(f"{address}/undelete").status_code == 404


class TestUndeleting:
    def test_brings_a_workflow_back_with_its_runs(self, client, workflow_id):
        run_id = client.post(f"/workflows/{workflow_id}/execute", json={}).json["id"]
        client.delete(f"/workflows/{workflow_id}")
        assert client.get(f"/workflows/{workflow_id}").status_code == 404
        answer = client.post(f"/workflows/{workflow_id}/undelete")
        assert (answer.status_code, answer.json["workflow"]["id"]) == (200, workflow_id)
        assert client.get(f"/workflows/{workflow_id}").headers["ETag"] == answer.headers["ETag"]
        assert client.get(f"/executions/{run_id}").status_code == 200

    def test_is_too_late_after_ten_minutes(self, client, session, workflow_id):
        client.delete(f"/workflows/{workflow_id}")
        session.execute(text("UPDATE workflows SET deleted_at = deleted_at - interval '10 minutes'"))
        session.commit()
        assert client.post(f"/workflows/{workflow_id}/undelete").status_code == 404

    def test_changes_nothing_for_a_workflow_that_is_there(self, client, workflow_id):
        before = client.get(f"/workflows/{workflow_id}").json
        assert client.post(f"/workflows/{workflow_id}/undelete").json == before

    def test_needs_room(self, client, workflow_id):
        client.delete(f"/workflows/{workflow_id}")
        for _ in range(PLANS[Tier.FREE].limits.max_workflows):
            assert client.post("/workflows", json=workflow()).status_code == 201
        refused = client.post(f"/workflows/{workflow_id}/undelete")
        assert (refused.status_code, refused.json["code"]) == (403, "workflow_limit_reached")

    def test_is_not_for_others(self, client, other, sign_in, workflow_id):
        client.delete(f"/workflows/{workflow_id}")
        assert sign_in(other).post(f"/workflows/{workflow_id}/undelete").status_code == 404

    def test_brings_nothing_back_of_a_registrant_who_was_not_the_owner(self, client, session, user, workflow_id):
        account_access.clear(session, user.id)
        session.commit()
        assert client.post(f"/workflows/{workflow_id}/undelete").status_code == 404
