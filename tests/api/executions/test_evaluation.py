"""Expressions are evaluated while they are written, over given data or over what a step saw."""

from uuid import UUID

import pytest

from api.limits import heavy
from models.rules.executions.states import NodeStatus
from models.services.executions import executions
from models.services.steps import evaluation
from tests.support import factories
from tests.support.api.graphs import workflow

DATA = {"data": {"rows": [1, 2, 3]}, "nodes": {"fetch-1": {"output": {"status": 200}}}, "item": "x", "index": 2}


def evaluated(client, expression: str, **more):
    answer = client.post("/expressions/evaluate", json={"expression": expression, "data": DATA, **more})
    assert answer.status_code == 200, answer.json
    return answer.json


@pytest.mark.parametrize(
    ("expression", "mode", "value"),
    [
        ("{{ data.rows.length }}", "template", 3),
        ("{{ item }} no. {{ index }}", "template", "x no. 2"),
        ("plain", "template", "plain"),
        ("data.rows.map(row => row * 2)", "expression", [2, 4, 6]),
        ("nodes.fetch-1.output.status", "expression", 200),
        ("return data.rows[0];", "body", 1),
        ("return data.rows[0];", "either", 1),
        ("input", "expression", None),
    ],
)
def test_has_its_value(client, expression, mode, value):
    found = evaluated(client, expression, mode=mode)
    assert found["error"] is None
    assert found["value"]["value"] == value


def test_a_mistake_has_its_line_and_column(client):
    error = evaluated(client, "return 1;\nreturn (;", mode="body")["error"]
    assert (error["code"], error["line"]) == ("invalid_expression", 2)
    assert error["column"] > 0
    in_text = evaluated(client, "Hello {{ 1 + }}")["error"]
    assert (in_text["line"], in_text["column"] > 6) == (1, True)


def test_a_failure_says_why(client):
    error = evaluated(client, "{{ data.missing.deeper }}")["error"]
    assert error["code"] == "expression_failed"
    assert "missing" in error["message"]


def test_a_large_value_comes_in_an_excerpt(client):
    value = evaluated(client, "Array.from({length: 5000}, (_, i) => i)", mode="expression")["value"]
    assert (value["total"], len(value["value"])) == (5_000, 100)


def test_is_bounded(client, monkeypatch):
    monkeypatch.setattr(evaluation, "EVALUATION_FUEL", 5_000_000)
    endless = evaluated(client, "while (true) {}", mode="body")
    assert endless["error"]["code"] == "too_much_to_evaluate"
    assert endless["fuel"] >= 5_000_000
    refused = client.post("/expressions/evaluate", json={"expression": "x" * 20_000, "data": {}})
    assert refused.status_code == 422


def test_one_at_a_time_is_evaluated_in_a_process(client, monkeypatch):
    """As graphs are validated, however short the body is."""
    seen = []
    acquired = heavy._slots.acquired
    monkeypatch.setattr(heavy._slots, "acquired", lambda *args, **how: seen.append(args) or acquired(*args, **how))
    evaluated(client, "1", mode="expression")
    assert len(seen) == 1


class TestAStep:
    @pytest.fixture
    def run(self, client, session, user) -> str:
        """A run whose input node returned something."""
        workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
        run_id = client.post(f"/workflows/{workflow_id}/execute", json={"input": 7}).json["id"]
        row = executions.get(session, user, UUID(run_id))
        factories.ran(session, row, "in", status=NodeStatus.SUCCESS, output={"seven": 7})
        session.commit()
        return run_id

    def test_gives_its_data(self, client, run):
        asked = {"expression": "{{ data.seven + nodes.in.output.seven + input }}", "executionId": run, "nodeId": "out"}
        answer = client.post("/expressions/evaluate", json=asked)
        assert answer.json["value"]["value"] == 21

    def test_is_its_owners(self, other, sign_in, run):
        asked = {"expression": "1", "executionId": run, "nodeId": "out"}
        assert sign_in(other).post("/expressions/evaluate", json=asked).status_code == 404

    @pytest.mark.parametrize("wrong", [{"nodeId": "out", "data": {}}, {}, {"data": None}, {"data": {"nodes": [1]}}])
    def test_or_data_is_needed_and_not_both(self, client, run, wrong):
        asked = {"expression": "1", **({"executionId": run} if "nodeId" in wrong else {}), **wrong}
        answer = client.post("/expressions/evaluate", json=asked)
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_input")
