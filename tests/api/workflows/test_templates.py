"""The gallery over HTTP."""

import pytest

from models.rules.prices.pricing import Tier
from models.services.workflows import templates
from tests.support.api.graphs import link, node, two_steps, workflow

OWN = {"name": "Mine", "category": "data", **two_steps()}


def test_four_come_with_the_service(client):
    answer = client.get("/api/templates")
    assert set(answer.json) == {"templates", "count", "limit", "offset", "nextCursor"}
    assert answer.json["count"] == 4
    first = answer.json["templates"][0]
    assert set(first) >= {"id", "name", "description", "category", "nodes", "connections"}
    of_its_category = client.get(f"/templates?category={first['category']}").json["templates"]
    assert {item["category"] for item in of_its_category} == {first["category"]}


def test_each_of_them_becomes_a_workflow(sign_in, new_user):
    client = sign_in(new_user("grace@example.com", tier=Tier.PREMIUM))
    for template in client.get("/templates").json["templates"]:
        answer = client.post(f"/api/templates/{template['id']}/instantiate")
        assert answer.status_code == 201, answer.json
        assert answer.headers["Location"] == f"/api/workflows/{answer.json['workflow']['id']}"
        assert answer.json["workflow"]["nodes"] == template["nodes"]


def test_an_unpublished_one_is_visible_to_its_owner_only(client, sign_in, other):
    answer = client.post("/templates", json=OWN)
    assert answer.status_code == 201
    address = answer.headers["Location"]
    assert client.get(address).json["template"] == answer.json["template"]
    assert sign_in(other).get(address).status_code == 404
    assert sign_in(other).post(f"{address}/instantiate").status_code == 404


def test_the_copy_may_have_a_name_of_its_own(client):
    address = client.post("/templates", json=OWN).headers["Location"]
    assert client.post(f"{address}/instantiate", json={"name": "Copy"}).json["workflow"]["name"] == "Copy"


def test_the_limits_of_a_tier_hold_for_copies_too(client):
    address = client.post("/templates", json=OWN).headers["Location"]
    for _ in range(3):
        client.post("/workflows", json=workflow())
    assert client.post(f"{address}/instantiate").json["code"] == "workflow_limit_reached"


class TestPublishing:
    def test_shows_it_to_all_with_its_author_until_it_is_withdrawn(self, client, sign_in, other):
        address = client.post("/templates", json=OWN).headers["Location"]
        eve = sign_in(other)
        assert client.put(address, json={"published": True}).json["template"]["published"] is True
        shown = eve.get(address).json["template"]
        assert (shown["author"], shown["uses"]) == ("Somebody", 0)
        assert set(shown) == set(eve.get("/templates").json["templates"][0])
        client.put(address, json={"published": False})
        assert eve.get(address).status_code == 404

    def test_counts_how_often_others_used_it(self, client, sign_in, other):
        address = client.post("/templates", json={**OWN, "published": True}).headers["Location"]
        sign_in(other).post(f"{address}/instantiate")
        client.post(f"{address}/instantiate")
        assert client.get(address).json["template"]["uses"] == 1

    def test_does_not_let_others_change_or_delete_it(self, client, sign_in, other):
        address = client.post("/templates", json={**OWN, "published": True}).headers["Location"]
        eve = sign_in(other)
        assert eve.put(address, json={"name": "Hers"}).status_code == 404
        assert eve.delete(address).status_code == 404
        seeded = next(item for item in client.get("/templates").json["templates"] if item["author"] is None)
        assert client.delete(f"/templates/{seeded['id']}").status_code == 404

    def test_is_refused_for_what_others_must_not_see(self, client):
        call = node("call", "api_call", url="https://api.example.com", headers={"Authorization": "Basic abc"})
        agent = node("ask", "ai_agent", prompt="My key is sk-proj-0123456789abcdefgh")
        graph = {"nodes": [call, agent], "connections": [link("call", "ask")]}
        address = client.post("/templates", json={**OWN, **graph}).headers["Location"]
        answer = client.put(address, json={"published": True})
        assert answer.status_code == 422
        fields = [error["field"] for error in answer.json["errors"]]
        assert fields == ["nodes.0.config.headers.Authorization", "nodes.1.config.prompt"]
        assert "sk-proj" not in answer.text
        assert client.get(address).json["template"]["published"] is False

    def test_takes_secrets_that_come_with_the_input(self, client):
        headers = {"Authorization": "Bearer {{ input.token }}"}
        graph = {"nodes": [node("call", "api_call", url="https://api.example.com", headers=headers)], "connections": []}
        assert client.post("/templates", json={**OWN, **graph, "published": True}).status_code == 201


def test_ones_own_can_be_changed_and_deleted_and_copies_stay(client):
    address = client.post("/templates", json=OWN).headers["Location"]
    copy = client.post(f"{address}/instantiate").headers["Location"]
    changed = client.put(address, json={"name": "Better", "category": "text"}).json["template"]
    assert (changed["name"], changed["category"], changed["nodes"]) == ("Better", "text", OWN["nodes"])
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404
    assert client.get(copy).status_code == 200


def test_categories_are_counted_by_what_the_caller_sees(client, sign_in, other):
    client.post("/templates", json={**OWN, "category": "mine"})
    counts = {item["name"]: item["count"] for item in client.get("/templates/categories").json["categories"]}
    assert counts["mine"] == 1
    assert sum(counts.values()) == 5
    assert "mine" not in sign_in(other).get("/templates/categories").text
    assert client.get("/templates?own=true").json["count"] == 1


class TestWhatTheAppFiltersAndShows:
    def test_each_built_in_one_has_a_category_and_an_estimated_time(self, client):
        found = {item["slug"]: item for item in client.get("/templates").json["templates"]}
        assert {slug: (item["category"], item["estimatedTime"]) for slug, item in found.items()} == {
            "data-processing-pipeline": ("data", 5),
            "email-automation": ("communication", 3),
            "content-analysis": ("analysis", 4),
            "social-media-bot": ("communication", 6),
        }

    @pytest.mark.parametrize(
        ("word", "category"),
        [
            ("data", "data"),
            ("Data Processing", "data"),
            ("Communication", "communication"),
            ("ANALYSIS", "analysis"),
            ("Automation", "automation"),
            ("marketing", "communication"),
            ("Marketing", "communication"),
            (" Recipes", "Recipes"),
        ],
    )
    def test_a_category_is_found_by_each_of_its_names(self, client, word, category):
        made = client.post("/templates", json={**OWN, "category": word}).json["template"]
        assert made["category"] == category
        for asked in (word.strip(), category):
            shown = client.get("/templates", query_string={"own": "true", "category": asked}).json["templates"]
            assert [item["id"] for item in shown] == [made["id"]]
        other = client.put(f"/templates/{made['id']}", json={"category": "Other"}).json["template"]
        assert other["category"] == "Other"
        assert client.put(f"/templates/{made['id']}", json={"category": word}).json["template"]["category"] == category

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            *((5, 5), ("5", 5), ("12 min", 12), (1, 1), (2.6, 3), (None, None), (0, None), (-3, None)),
            *(("soon", None), (1e9, None), (True, None), ([5], None), ("", None), ("9" * 30, None)),
        ],
        ids=str,
    )
    def test_the_time_that_a_phone_sends_is_kept_where_it_is_one(self, client, sent, kept):
        answer = client.post("/templates", json={**OWN, "estimatedTime": sent})
        assert (answer.status_code, answer.json["template"]["estimatedTime"]) == (201, kept)
        address = answer.headers["Location"]
        assert client.put(address, json={"name": "N"}).json["template"]["estimatedTime"] == kept
        assert client.put(address, json={"estimatedTime": 7}).json["template"]["estimatedTime"] == 7
        assert client.put(address, json={"estimatedTime": sent}).json["template"]["estimatedTime"] == kept


def test_a_user_keeps_at_most_a_hundred(client, session, user, monkeypatch):
    monkeypatch.setattr(templates, "MAX_OWNED", 2)
    answers = [client.post("/templates", json=OWN) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 403]
    assert answers[2].json["code"] == "template_limit_reached"
