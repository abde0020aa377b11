"""The gallery over HTTP."""

from tests.api.graphs import two_steps, workflow

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
    client = sign_in(new_user("grace@example.com", tier="premium"))
    for template in client.get("/templates").json["templates"]:
        answer = client.post(f"/api/templates/{template['id']}/instantiate")
        assert answer.status_code == 201, answer.json
        assert answer.headers["Location"] == f"/api/workflows/{answer.json['workflow']['id']}"
        assert answer.json["workflow"]["nodes"] == template["nodes"]


def test_one_of_ones_own_is_seen_by_nobody_else(client, sign_in, other):
    answer = client.post("/templates", json=OWN)
    assert answer.status_code == 201
    address = answer.headers["Location"]
    assert client.get(address).json["template"] == answer.json["template"]
    assert sign_in(other).get(address).status_code == 404
    assert sign_in(other).post(f"{address}/instantiate").status_code == 404


def test_the_copy_may_have_a_name_of_its_own(client):
    address = client.post("/templates", json=OWN).headers["Location"]
    assert client.post(f"{address}/instantiate", json={"name": "Copy"}).json["workflow"]["name"] == "Copy"


def test_what_nobody_may_say_is_refused(client):
    for field in ("published", "ownerId", "slug"):
        answer = client.post("/templates", json={**OWN, field: True})
        assert [item["field"] for item in answer.json["errors"]] == [field]


def test_the_limits_of_a_tier_hold_for_copies_too(client):
    address = client.post("/templates", json=OWN).headers["Location"]
    for _ in range(3):
        client.post("/workflows", json=workflow())
    assert client.post(f"{address}/instantiate").json["code"] == "workflow_limit_reached"
