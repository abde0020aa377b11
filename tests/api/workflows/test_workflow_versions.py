"""Earlier versions of a workflow, over HTTP."""

import pytest

from tests.support.api.graphs import node, two_steps, workflow

THREE = {**two_steps(), "nodes": [*two_steps()["nodes"], node("more", "output")]}


@pytest.fixture
def address(client) -> str:
    """A workflow with two versions."""
    address = client.post("/workflows", json=workflow()).headers["Location"]
    client.put(address, json=THREE)
    return address


def test_every_save_of_another_graph_is_listed_the_newest_first(client, address):
    client.put(address, json={"name": "Only renamed"})
    versions = client.get(f"{address}/versions").json["versions"]
    assert [(row["version"], row["nodeCount"], row["valid"]) for row in versions] == [(2, 3, True), (1, 2, True)]
    assert "nodes" not in versions[0]


def test_pages_of_them_go_on_where_the_last_one_ended(client, address):
    first = client.get(f"{address}/versions?limit=1").json
    rest = client.get(f"{address}/versions?limit=1&cursor={first['nextCursor']}").json
    assert [row["version"] for row in (*first["versions"], *rest["versions"])] == [2, 1]


def test_an_old_one_can_be_seen_and_brought_back_as_the_newest(client, address):
    assert client.get(f"{address}/versions/1").json["version"]["nodes"] == two_steps()["nodes"]
    restored = client.post(f"{address}/versions/1/restore").json["workflow"]
    assert (restored["version"], restored["nodes"]) == (3, two_steps()["nodes"])
    assert client.get(f"{address}/versions/2").json["version"]["nodes"] == THREE["nodes"]


def test_the_newest_brought_back_is_no_new_version(client, address):
    assert client.post(f"{address}/versions/2/restore").json["workflow"]["version"] == 2


def test_one_that_never_was_is_not_there(client, address):
    assert client.get(f"{address}/versions/9").status_code == 404
    assert client.get(f"{address}/versions/99999999999999999999").status_code == 404
    assert client.post(f"{address}/versions/9/restore").status_code == 404


def test_those_of_others_are_not_there(sign_in, other, address):
    eve = sign_in(other)
    for answer in (
        eve.get(f"{address}/versions"),
        eve.get(f"{address}/versions/1"),
        eve.post(f"{address}/versions/1/restore"),
    ):
        assert answer.status_code == 404


def test_workflows_are_found_by_a_part_of_their_name_and_by_status(client):
    for name, status in (("Daily 100% report", "active"), ("Weekly report", "draft"), ("Bot", "active")):
        client.post("/workflows", json=workflow(name=name, status=status))

    def names(query: str) -> set[str]:
        return {row["name"] for row in client.get(f"/workflows?{query}").json["workflows"]}

    assert names("q=REPORT") == {"Daily 100% report", "Weekly report"}
    assert names("q=100%25") == {"Daily 100% report"}
    assert names("q=%25") == {"Daily 100% report"}
    assert names("status=draft") == {"Weekly report"}
    assert names("q=report&status=active") == {"Daily 100% report"}
