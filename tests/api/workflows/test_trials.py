"""One node of a workflow is tried over HTTP."""

from typing import Any

import pytest

from tests.support.api.graphs import link, node, two_steps, workflow

GRAPH = {
    "nodes": [node("in", "input"), node("double", "process", operation="transform", expression="data.n * 2")],
    "connections": [link("in", "double")],
}


@pytest.fixture
def address(client) -> str:
    """A workflow of two nodes."""
    return client.post("/workflows", json=workflow(**GRAPH)).headers["Location"]


def attempt(client: Any, address: str, node_id: str = "double", **body: Any) -> Any:
    return client.post(f"{address}/nodes/{node_id}/try", json={"pinned": {"in": {"n": 4}}, **body})


def test_it_is_accepted_as_a_run_that_names_the_node(client, address, sent):
    answer = attempt(client, address)
    assert (answer.status_code, answer.json["status"]) == (202, "queued")
    run = client.get(answer.headers["Location"]).json
    assert (run["triedNodeId"], run["workflowVersion"], run["nodesTotal"]) == ("double", None, 1)
    assert {state["nodeId"]: state["output"] for state in run["nodes"]} == {"in": {"n": 4}, "double": None}
    assert [message.ids["execution_id"] for message in sent] == [run["id"]]


def test_it_is_in_the_lists_of_runs_unless_left_out(client, address):
    run_id = attempt(client, address).json["id"]
    assert [run["triedNodeId"] for run in client.get("/executions").json["executions"]] == ["double"]
    assert [run["id"] for run in client.get(f"{address}/executions?trial=true").json["executions"]] == [run_id]
    assert client.get(f"{address}/executions?trial=false").json["executions"] == []
    assert client.get("/executions?trial=maybe").status_code == 422


def test_metrics_do_not_count_it(client, address):
    attempt(client, address)
    client.post(f"{address}/execute", json={})
    assert client.get(f"{address}/metrics?timeRange=1h").json["totalExecutions"] == 1


def test_a_repeat_with_the_same_key_is_the_same_run(client, address):
    key = {"Idempotency-Key": "try-once"}
    body = {"pinned": {"in": {"n": 1}}}
    first, second = (client.post(f"{address}/nodes/double/try", json=body, headers=key) for _ in range(2))
    assert first.json == second.json
    other = client.post(f"{address}/nodes/double/try", json={"pinned": {"in": 2}}, headers=key)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")


def test_the_editor_s_own_graph_is_tried(client, address):
    draft = {**two_steps(), "nodes": [*two_steps()["nodes"], node("new", "output", value="{{ nodes.in.output }}")]}
    draft["connections"] = [*draft["connections"], link("in", "new")]
    answer = attempt(client, address, "new", **draft)
    assert answer.status_code == 202
    assert client.get(f"{address}/versions").json["count"] == 1
    assert client.get(address).json["workflow"]["version"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"pinned": {}}, "pinned"),
        ({"pinned": {"nobody": 1}}, "pinned.nobody"),
        ({"pinned": []}, "pinned"),
        ({"index": -1}, "index"),
        ({"item": 1}, "item"),
        ({"maxCredits": 0.01}, "maxCredits"),
        ({"nodes": "none"}, "nodes"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(client, address, body, field):
    answer = attempt(client, address, **body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]


def test_a_loop_and_an_unknown_node_are_refused(client, address):
    draft = {"nodes": [node("each", "loop", items=[1])], "connections": []}
    refused = attempt(client, address, "each", **draft)
    assert (refused.status_code, refused.json["code"]) == (422, "node_not_triable")
    assert "try the nodes inside it" in refused.json["message"]
    assert attempt(client, address, "nobody").status_code == 404


def test_strangers_find_no_workflow(sign_in, other, address):
    assert attempt(sign_in(other), address).status_code == 404


def test_a_key_needs_the_scopes_to_run_and_to_write(app, client, address):
    def with_scopes(*scopes: str) -> Any:
        key = client.post("/access-keys", json={"name": "Program", "scopes": list(scopes)}).json["key"]
        program = app.test_client()
        program.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        return attempt(program, address)

    for scope in ("executions:run", "workflows:write"):
        refused = with_scopes(scope)
        assert (refused.status_code, refused.json["code"]) == (403, "insufficient_scope")
    accepted = with_scopes("executions:run", "workflows:write")
    assert (accepted.status_code, accepted.headers["Missing-Scope"]) == (202, "executions:read")
