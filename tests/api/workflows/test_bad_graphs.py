"""Graphs that cannot run are kept with their problems; those that have no shape are refused, and nothing is stored."""

from typing import Any

import pytest
from sqlalchemy import func, select

from models.rules.prices.pricing import Tier
from models.serialization import JsonObject
from models.tables import Execution, Workflow, WorkflowVersion
from tests.support.api.graphs import link, node, two_steps, workflow


def graph(*nodes: Any, links: list[Any] | None = None) -> JsonObject:
    return {"nodes": list(nodes), "connections": links or []}


IN, OUT = node("in", "input", inputType="text"), node("out", "output", outputType="text")

BAD: dict[str, tuple[JsonObject, str]] = {
    "no nodes": (graph(), "nodes"),
    "duplicate ids": (graph(IN, IN), "nodes.1.id"),
    "dangling target": (graph(IN, links=[link("in", "gone")]), "connections.0.to"),
    "dangling source": (graph(IN, links=[link("gone", "in")]), "connections.0.from"),
    "unknown type": (graph(IN, node("x", "magic")), "nodes.1.type"),
    "unknown operation": (graph(node("x", "process", operation="explode", expression="1")), "nodes.0.config.operation"),
    "missing url": (graph(node("x", "api_call", method="GET")), "nodes.0.config.url"),
    "bad expression": (
        graph(node("x", "process", operation="transform", expression="1 +")),
        "nodes.0.config.expression",
    ),
    "bad template": (graph(node("x", "output", value="{{ nodes. }}")), "nodes.0.config.value"),
    "unknown reference": (graph(node("x", "output", value="{{ nodes.gone.output }}")), "nodes.0.config.value"),
    "unknown port": (graph(IN, OUT, links=[link("in", "out", fromPort="side")]), "connections.0.fromPort"),
    "unknown parent": (graph({**IN, "parentId": "gone"}), "nodes.0.parentId"),
    "bad retry": (graph({**IN, "retry": {"maxAttempts": 99}}), "nodes.0.retry.maxAttempts"),
    "endless timeout": (graph({**IN, "timeout": 1e9}), "nodes.0.timeout"),
}

MISSHAPEN: dict[str, tuple[JsonObject, str]] = {
    "a node that is none": (graph(7), "nodes.0"),
    "an id of 65 characters": (graph(node("x" * 65, "input")), "nodes.0.id"),
    "an id that is a number": (graph({**IN, "id": 7}), "nodes.0.id"),
    "an empty id": (graph(node("", "input")), "nodes.0.id"),
    "an id that cannot be printed": (graph(node("a\nb", "input")), "nodes.0.id"),
    "a config that is a list": (graph({**IN, "config": []}), "nodes.0.config"),
    "a position that is text": (graph({**IN, "position": "here"}), "nodes.0.position"),
    "a connection that is none": (graph(IN, links=["in"]), "connections.0"),
    "a connection from nowhere": (graph(IN, links=[{"id": "c", "to": "in"}]), "connections.0.from"),
    "NUL in a config": (graph(node("x", "output", value="a\x00b")), "nodes.0.config.value"),
    "nodes that are no list": ({"nodes": {}, "connections": []}, "nodes"),
    "connections that are no list": ({"nodes": [IN], "connections": 1}, "connections"),
    "more connections than anybody may have": ({"nodes": [IN], "connections": [{}] * 20_001}, "connections"),
}


def fields(answer) -> list[str]:
    return [item["field"] for item in answer.json["errors"]]


def nothing_stored(session) -> bool:
    return not any(session.scalar(select(func.count()).select_from(t)) for t in (Workflow, WorkflowVersion))


@pytest.mark.parametrize("status", ["active", "draft"])
@pytest.mark.parametrize("name", MISSHAPEN)
def test_what_has_no_shape_is_refused_and_the_field_named(client, session, name, status):
    document, field = MISSHAPEN[name]
    answer = client.post("/api/workflows", json=workflow(status=status, **document))
    assert (answer.status_code, field in fields(answer)) == (422, True), answer.json
    assert field in answer.json["message"]
    assert all(item["message"] for item in answer.json["errors"])
    assert nothing_stored(session)


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_run_is_kept_as_a_draft_and_refused_in_a_sentence(client, session, sent, name):
    document, field = BAD[name]
    answer = client.post("/workflows", json=workflow(**document))
    assert answer.status_code == 201, answer.json
    saved = answer.json["workflow"]
    assert (saved["status"], saved["nodes"]) == ("draft", document["nodes"])
    problem = next(problem for problem in saved["problems"] if problem["field"] == field)
    assert field.count(".") < 2 or field.rpartition(".")[2] in problem["message"], problem
    assert field == "nodes" or problem["message"].startswith(('Node "', 'Connection from "')), problem
    assert client.get(f"/workflows/{saved['id']}").json["workflow"] == saved
    assert client.get("/workflows").json["workflows"] == [saved]
    run = client.post(f"/workflows/{saved['id']}/execute", json={"input": 1})
    assert (run.status_code, run.json["code"]) == (422, "invalid_graph")
    assert run.json["message"].startswith(f"This workflow cannot run. {saved['problems'][0]['message']}")
    assert [item["message"] for item in run.json["errors"]] == [item["message"] for item in saved["problems"]]
    assert session.scalar(select(func.count()).select_from(Execution)) == 0
    assert sent == []


def test_a_cycle_is_spelled_out(client):
    nodes = [node(name, "process", operation="transform", expression="input") for name in "abc"]
    document = graph(*nodes, links=[link("a", "b"), link("b", "c"), link("c", "a")])
    saved = client.post("/workflows", json=workflow(**document)).json["workflow"]
    assert any("a -> b -> c -> a" in item["message"] for item in saved["problems"])


def test_a_graph_that_is_nested_too_deeply_is_malformed(client, session):
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    answer = client.post("/workflows", json=workflow(**graph(node("x", "output", value=deep))))
    assert (answer.status_code, answer.json["code"]) == (400, "malformed_request")
    assert nothing_stored(session)


def test_a_graph_of_more_than_a_mebibyte_is_too_large(client, session):
    answer = client.post("/workflows", json=workflow(**graph(node("x", "output", value="x" * 2**20))))
    assert answer.status_code == 413
    assert nothing_stored(session)


class TestValidate:
    def test_a_good_graph_is_valid_and_has_a_price(self, client, session):
        answer = client.post("/api/workflows/validate", json=two_steps())
        assert answer.status_code == 200
        limits = {"fuel": 20_000_000_000, "bytes": 67_108_864}
        told = {"valid": True, "errors": [], "warnings": [], "worstCaseCredits": 1.2, "limits": limits}
        assert answer.json == told
        assert nothing_stored(session)

    @pytest.mark.parametrize("name", BAD)
    def test_a_bad_one_gets_its_errors(self, client, session, name):
        document, field = BAD[name]
        answer = client.post("/workflows/validate", json=document)
        assert answer.status_code == 200
        assert answer.json["valid"] is False
        assert field in [item["field"] for item in answer.json["errors"]]
        assert set(answer.json["errors"][0]) == {"code", "field", "message", "nodeId", "connectionId"}
        assert nothing_stored(session)

    def test_more_nodes_than_the_tier_allows_are_refused_unread(self, client, session):
        wrong = workflow(nodes=[{"id": 7, "type": None} for _ in range(11)], connections=[])
        for method, address in (("POST", "/workflows/validate"), ("POST", "/workflows"), ("POST", "/templates")):
            said = {**wrong, "category": "other"} if address == "/templates" else wrong
            answer = client.open(address, method=method, json=said)
            assert (answer.status_code, answer.json["code"]) == (403, "node_limit_reached"), address
            assert "10 nodes" in answer.json["detail"]
        assert nothing_stored(session)

    def test_more_nodes_than_the_absolute_maximum_are_refused_for_every_tier(self, client, user, session):
        user.subscription_tier = Tier.ENTERPRISE
        session.flush()
        answer = client.post("/workflows", json=workflow(**graph(*[IN] * 5001)))
        assert (answer.status_code, fields(answer)) == (422, ["nodes"])

    def test_a_whole_workflow_may_be_sent(self, client):
        assert client.post("/workflows/validate", json=workflow(status="draft")).json["valid"] is True
