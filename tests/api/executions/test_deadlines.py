"""How long a run may take, as a client says and reads it."""

from datetime import datetime

import pytest

from tests.support.api.graphs import workflow


def start(client, body=None, **of):
    workflow_id = client.post("/workflows", json=workflow(**of)).json["workflow"]["id"]
    run = client.get(client.post(f"/workflows/{workflow_id}/execute", json=body or {}).json["statusUrl"]).json
    return run, workflow_id


def seconds(run, name):
    return (datetime.fromisoformat(run[name]) - datetime.fromisoformat(run["createdAt"])).total_seconds()


def test_a_run_shows_its_deadline_and_its_latest_start(client):
    run, _ = start(client, {"timeout": 60, "maxQueueSeconds": 30})
    assert (seconds(run, "deadline"), seconds(run, "startBy")) == (60, 30)


def test_a_workflow_keeps_the_times_of_its_runs_until_they_are_taken_back(client):
    run, workflow_id = start(client, timeout=600, maxQueueSeconds=300)
    assert (seconds(run, "deadline"), seconds(run, "startBy")) == (600, 300)
    address = f"/workflows/{workflow_id}"
    assert client.put(address, json={"name": "Renamed"}).json["workflow"]["timeout"] == 600
    changed = client.put(address, json={"timeout": None}).json["workflow"]
    assert (changed["timeout"], changed["maxQueueSeconds"]) == (None, 300)


@pytest.mark.parametrize("value", [0, -1, 1.5, "60", True, 366 * 86_400 + 1])
@pytest.mark.parametrize("name", ["timeout", "maxQueueSeconds"])
def test_what_is_no_time_is_refused_with_its_field(client, name, value):
    workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
    answer = client.post(f"/workflows/{workflow_id}/execute", json={name: value})
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, name)
