"""The calls of the mobile app as it makes them: its own objects whole, with what only the phone knows."""

from typing import Any
from uuid import uuid4

import pytest

from models.serialization import JsonObject
from tests.support.api.graphs import two_steps


def phone_workflow(**changes: Any) -> JsonObject:
    """A workflow as the phone keeps it."""
    at = "2026-11-29T10:00:00.000Z"
    own = {"id": str(uuid4()), "createdAt": at, "updatedAt": at, "deployedAt": at, "category": "Data Processing"}
    return {
        "name": "Mine",
        "description": "",
        "status": "active",
        "estimatedTime": "5",
        **own,
        **two_steps(),
        **changes,
    }


# As the app's own gallery has them: where results go, a path of the app's own server, nodes without any settings.
GALLERY = {
    "a store for results": ({"inputType": "file"}, ("output", {"outputType": "database"}), "outputType"),
    "a path for an address": ({"inputType": "csv"}, ("api_call", {"method": "POST", "url": "/api/send-email"}), "url"),
    "no address": ({}, ("api_call", None), "url"),
}


class TestNoSaveLosesWork:
    @pytest.mark.parametrize("name", GALLERY)
    def test_what_the_app_draws_is_kept_and_says_what_is_missing(self, client, name):
        source, (kind, config), setting = GALLERY[name]
        first = {"id": "node_1", "type": "input", "label": "Source", "position": {"x": 50, "y": 100}, "config": source}
        last = {"id": "node_2", "type": kind, "label": "Last step", "position": {"x": 200, "y": 100}}
        last |= {} if config is None else {"config": config}
        link = {"id": "conn_1", "from": "node_1", "to": "node_2"}
        answer = client.post("/workflows", json=phone_workflow(nodes=[first, last], connections=[link]))
        assert answer.status_code == 201, answer.json
        saved = answer.json["workflow"]
        assert (saved["status"], saved["nodes"]) == ("draft", [first, last])
        run = client.post(f"/workflows/{saved['id']}/execute", json={"input": "x"})
        assert run.status_code == 422
        assert 'Node "Last step"' in run.json["message"]
        assert f"`{setting}`" in run.json["message"]


class TestWholeObjects:
    def test_a_workflow_is_saved_changed_and_read_back(self, client):
        sent = phone_workflow(userId=str(uuid4()), version=99, readOnly=True)
        answer = client.post("/api/workflows", json=sent)
        assert answer.status_code == 201, answer.json
        saved = answer.json["workflow"]
        assert (saved["name"], saved["nodes"], saved["version"]) == ("Mine", sent["nodes"], 1)
        assert saved["id"] != sent["id"]
        again = client.put(f"/api/workflows/{saved['id']}", json={**sent, **saved, "name": "Renamed"})
        assert (again.status_code, again.json["workflow"]["name"]) == (200, "Renamed")
        assert again.json["workflow"]["createdAt"] == saved["createdAt"]

    def test_a_workflow_is_linted(self, client):
        assert client.post("/workflows/validate", json=phone_workflow()).json["valid"] is True

    def test_a_run_is_started(self, client):
        workflow_id = client.post("/workflows", json=phone_workflow()).json["workflow"]["id"]
        sent = {"input": {"text": "hi"}, "timestamp": "2026-11-29T10:00:00.000Z", "creditsCharged": 0}
        answer = client.post(f"/workflows/{workflow_id}/execute", json=sent)
        assert answer.status_code == 202
        assert client.get(answer.json["statusUrl"]).json["input"] == {"text": "hi"}

    def test_a_template_is_kept_and_instantiated(self, client):
        sent = phone_workflow(category="data", slug="mine", uses=1000, ownerId=str(uuid4()))
        answer = client.post("/templates", json=sent)
        assert answer.status_code == 201, answer.json
        kept = answer.json["template"]
        assert (kept["uses"], kept["published"], kept["slug"] != "mine") == (0, False, True)
        copied = client.post(f"/templates/{kept['id']}/instantiate", json={**kept, "name": "Copy"})
        assert (copied.status_code, copied.json["workflow"]["name"]) == (201, "Copy")

    def test_an_account_is_opened_entered_and_changed(self, stranger, sign_in, new_user):
        sent = {"email": "ada@example.com", "password": "long enough words", "name": "Ada", "avatar": None}
        opened = stranger.post("/auth/register", json={**sent, "credits": 1e6, "subscriptionTier": "enterprise"})
        assert (opened.status_code, opened.json["user"]["subscriptionTier"]) == (201, "free")
        entered = stranger.post("/auth/login", json=sent)
        assert entered.status_code == 200
        user = entered.json["user"]
        assert user["createdAt"].endswith("Z")
        changes = {**user, "name": "Ada L.", "avatar": "data:image/png;base64,AA==", "token": entered.json["token"]}
        headers = {"Authorization": f"Bearer {entered.json['token']}"}
        changed = stranger.put("/auth/profile", json={**changes, "role": "admin", "credits": 5}, headers=headers)
        assert (changed.status_code, changed.json["name"]) == (200, "Ada L.")
        assert changed.json["user"] == {**user, "name": "Ada L."}

    @pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
    def test_a_session_goes_on_and_ends(self, client, path):
        assert client.post(path, json={"timestamp": "2026-11-29T10:00:00.000Z"}).status_code == 200
