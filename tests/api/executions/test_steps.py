"""The steps of a run over HTTP: listed, with their data in parts."""

from uuid import UUID

import pytest

from models.rules.executions.states import NodeStatus
from models.services.executions import executions
from tests.support import factories
from tests.support.api.graphs import workflow

ROWS = [{"id": index} for index in range(250)]


@pytest.fixture
def run(client, session, user) -> str:
    """A run whose first node returned many rows."""
    workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
    run_id = client.post(f"/workflows/{workflow_id}/execute", json={"input": {"n": 1}}).json["id"]
    execution = executions.get(session, user, UUID(run_id))
    nodes = client.get(f"/workflows/{workflow_id}").json["workflow"]["nodes"]
    first, last = nodes[0]["id"], nodes[-1]["id"]
    factories.ran(session, execution, first, status=NodeStatus.SUCCESS, output={"rows": ROWS})
    factories.ran(session, execution, last, status=NodeStatus.FAILED, error={"code": "x", "message": "No."})
    session.commit()
    return run_id


@pytest.fixture
def ids(client, run) -> tuple[str, str]:
    nodes = client.get(f"/executions/{run}").json["nodes"]
    return nodes[0]["id"], nodes[-1]["id"]


def test_are_listed_page_by_page_without_their_data(client, run, ids):
    pages, cursor = [], None
    for _ in range(2):
        page = client.get(f"/executions/{run}/steps", query_string={"limit": 1, "cursor": cursor or ""}).json
        pages += page["steps"]
        cursor = page["nextCursor"]
    assert {step["nodeId"] for step in pages} == set(ids)
    assert "output" not in pages[0]
    failed = client.get(f"/executions/{run}/steps?status=failed").json["steps"]
    assert [(step["nodeId"], step["error"]["code"]) for step in failed] == [(ids[1], "x")]
    assert client.get(f"/executions/{run}/steps?nodeId={ids[0]}").json["count"] == 1


def test_a_step_shows_excerpts_of_its_data(client, run, ids):
    step = client.get(f"/executions/{run}/steps/{ids[0]}").json
    assert step["status"] == "success"
    assert step["input"]["value"] == {"n": 1}
    assert len(step["output"]["value"]["rows"]) == 50
    assert step["output"]["cut"] == [{"pointer": "/rows", "kind": "list", "total": 250}]
    assert client.get(f"/executions/{run}/steps/{ids[1]}").json["input"]["value"]["rows"][0] == {"id": 0}


def test_large_data_is_read_in_parts(client, run, ids):
    address = f"/executions/{run}/steps/{ids[0]}/output"
    part = client.get(address, query_string={"pointer": "/rows", "offset": 100, "limit": 100}).json
    assert (part["value"], part["total"], part["offset"]) == (ROWS[100:200], 250, 100)
    assert client.get(address, query_string={"pointer": "/rows/249/id"}).json["value"] == 249
    assert client.get(address, query_string={"pointer": "/rows/250"}).status_code == 404
    assert client.get(address, query_string={"pointer": "rows"}).json["code"] == "invalid_input"
    handed_on = client.get(f"/executions/{run}/steps/{ids[1]}/input", query_string={"pointer": "/rows/7"}).json
    assert handed_on["value"] == {"id": 7}


def test_a_step_to_which_the_run_did_not_come_is_pending(client, other, sign_in):
    workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
    run_id = client.post(f"/workflows/{workflow_id}/execute", json={"input": 7}).json["id"]
    node_id = client.get(f"/executions/{run_id}").json["nodes"][0]["id"]
    step = client.get(f"/executions/{run_id}/steps/{node_id}").json
    assert (step["status"], step["input"]["value"], step["events"]) == ("pending", 7, [])
    assert client.get(f"/executions/{run_id}/steps/missing").status_code == 404
    assert client.get(f"/executions/{run_id}/steps/{node_id}?path=3").status_code == 404
    assert sign_in(other).get(f"/executions/{run_id}/steps/{node_id}").status_code == 404
