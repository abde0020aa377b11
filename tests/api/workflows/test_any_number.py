"""No number, moment or text in what a client sends is a failure of the service, and no run of it becomes unreadable."""

import json
from typing import Any

import pytest

from tests.support.api.graphs import workflow

NASTY: list[Any] = [
    *(0, -1, 0.1, 1e300, 1e308, -1e308, 5e-324, 2**53 + 1, 2**63, 2**64, 10**400, True, None),
    *("1e300", "NaN", "Infinity", "9" * 400, "1" * 5_000, "\u0663", "", "soon", "9999-12-31T23:59:59-12:00"),
    *([], {}, [1e300], {"a": 1e300}),
]


def send(client, path: str, body: Any):
    """Post what our own encoder would refuse to write, as others would."""
    return client.post(path, data=json.dumps(body), content_type="application/json")


FIELDS = ("maxCredits", "priority", "timeout", "maxQueueSeconds", "input")


def test_a_run_can_be_asked_for_with_anything(client):
    workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
    for field in FIELDS:
        for value in NASTY:
            answer = send(client, f"/workflows/{workflow_id}/execute", {field: value})
            assert answer.status_code < 500, (field, value, answer.json)
            if answer.status_code == 202:
                assert client.get("/executions").status_code == 200
                assert client.post(f"/executions/{answer.json['id']}/cancel").status_code < 300, (field, value)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("wait", "seconds"),
        ("wait", "until"),
        ("approval", "timeout"),
        ("loop", "maxIterations"),
        ("loop", "concurrency"),
    ],
)
def test_a_workflow_can_be_saved_and_judged_with_anything(client, kind: str, field: str):
    for value in NASTY:
        step = {"id": "n", "type": kind, "label": "N", "position": {"x": 0, "y": 0}, "config": {field: value}}
        graph = {"nodes": [step], "connections": []}
        assert send(client, "/workflows/validate", graph).status_code < 500, (field, value)
        for name in ("timeout", "deadline"):
            policy = {"nodes": [step | {"config": {}, name: value}], "connections": []}
            assert send(client, "/workflows/validate", policy).status_code < 500, (name, value)


def test_a_key_may_not_end_at_what_is_no_moment(client):
    for value in (
        "9999-12-31T23:59:59-12:00",
        "2100-01-01T00:00:00+25:00",
        "2100-01-01T24:00:00Z",
        "2100-02-30T00:00:00Z",
    ):
        answer = client.post("/access-keys", json={"name": "Key", "expiresAt": value})
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json["errors"]] == ["expiresAt"]
    assert client.get("/access-keys").status_code == 200
