"""Server-sent events: nothing is missed, nothing comes twice, and a run that is over ends the stream."""

import json
import threading
from uuid import UUID

import pytest

from api import streams
from models.execution import ExecutionEvent
from tests.api.graphs import workflow


@pytest.fixture
def run(client) -> str:
    workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
    return client.post(f"/workflows/{workflow_id}/execute").json["id"]


@pytest.fixture
def short(monkeypatch):
    """Listeners leave at once, and look again without a pause."""
    monkeypatch.setattr(streams, "LISTEN_SECONDS", 0.0)
    monkeypatch.setattr(streams, "LOOK_SECONDS", 0.0)


def heard(answer) -> list[dict]:
    """The events of a stream that ended."""
    lines = answer.data.decode().split("\n\n")
    events = [dict(part.split(": ", 1) for part in line.split("\n")) for line in lines if line.startswith("id:")]
    return [{"id": int(event["id"]), **json.loads(event["data"])} for event in events]


def test_tells_what_happened_and_ends_for_now(client, run, short):
    answer = client.get(f"/api/executions/{run}/events")
    assert answer.status_code == 200
    assert answer.mimetype == "text/event-stream"
    assert answer.data.startswith(b"retry: ")
    first = heard(answer)[0]
    assert (first["id"], first["seq"], first["type"]) == (1, 1, "execution.queued")


def test_goes_on_after_the_last_event_heard(client, session, run, short):
    for seq in (2, 3):
        session.add(ExecutionEvent(execution_id=UUID(run), seq=seq, type="node.success", message=f"Event {seq}"))
    session.commit()
    address = f"/executions/{run}/events"
    assert [event["id"] for event in heard(client.get(address, headers={"Last-Event-ID": "2"}))] == [3]
    assert [event["id"] for event in heard(client.get(f"{address}?after=1"))] == [2, 3]


def test_hears_what_happens_while_it_listens(client, session, run, monkeypatch):
    monkeypatch.setattr(streams, "LOOK_SECONDS", 0.0)
    chunks = client.get(f"/executions/{run}/events", buffered=False).response
    assert b"id: 1\n" in next(chunks) + next(chunks)
    client.post(f"/executions/{run}/cancel")
    rest = b"".join(chunks)
    assert b"cancelled" in rest


def test_a_run_that_is_over_ends_the_stream_for_good(client, run):
    client.post(f"/executions/{run}/cancel")
    all_of_it = heard(client.get(f"/executions/{run}/events"))
    last = {"Last-Event-ID": str(all_of_it[-1]["id"])}
    assert client.get(f"/executions/{run}/events", headers=last).status_code == 204


def test_without_a_place_one_hears_what_there_is_and_leaves(client, run, monkeypatch):
    monkeypatch.setattr(streams, "LISTENERS", threading.BoundedSemaphore(1))
    streams.LISTENERS.acquire()
    assert [event["id"] for event in heard(client.get(f"/executions/{run}/events"))] == [1]


def test_a_place_is_given_back(client, run, short, monkeypatch):
    monkeypatch.setattr(streams, "LISTENERS", threading.BoundedSemaphore(1))
    for _ in range(3):
        client.get(f"/executions/{run}/events")
    assert streams.LISTENERS.acquire(blocking=False)


@pytest.mark.parametrize("wrong", ["x", "-1", "1" * 19, ""])
def test_an_id_that_is_none_of_ours_is_named(client, run, wrong):
    answer = client.get(f"/executions/{run}/events", headers={"Last-Event-ID": wrong})
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "Last-Event-ID")
