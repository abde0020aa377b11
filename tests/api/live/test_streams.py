"""Server-sent events: the state first, then all that happens; nothing is missed, and nothing comes twice."""

import json
from collections.abc import Iterator
from itertools import islice

import pytest

from api.live import event_stream, run_views
from models.rules.executions.states import ExecutionStatus
from tests.api.live import happen, until


def parsed(chunk: bytes) -> list[dict]:
    """The events in a piece of a stream: `id`, `event` and the data's own fields."""
    found = []
    for block in chunk.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "data" in fields:
            found.append({**json.loads(fields["data"]), "id": int(fields["id"]), "event": fields.get("event")})
    return found


class Listening:
    """An open stream."""

    def __init__(self, client, run: str, **options) -> None:
        self.answer = client.get(f"/api/executions/{run}/events", buffered=False, **options)
        self._chunks = self.answer.response

    def next(self) -> list[dict]:
        """The events of the next piece that has any."""
        return next(events for chunk in self._chunks if (events := parsed(chunk)))

    def one_by_one(self) -> Iterator[dict]:
        """Every event as it comes."""
        for chunk in self._chunks:
            yield from parsed(chunk)

    def rest(self) -> list[dict]:
        """Everything until the stream ends."""
        return parsed(b"".join(self._chunks))

    def close(self) -> None:
        """Hang up."""
        self._chunks.close()


@pytest.fixture(autouse=True)
def _told(place, told):
    """Publish changes in these tests."""


def test_begins_with_the_run_as_it_stands(client, run):
    happen(run)
    listening = Listening(client, run)
    assert listening.answer.mimetype == "text/event-stream"
    (state,) = listening.next()
    assert (state["event"], state["id"]) == ("state", 2)
    shown = client.get(f"/executions/{run}").json
    assert {**shown, "event": "state"} == {**state, "id": shown["id"]}
    listening.close()


def test_sends_events_as_they_happen_and_ends_with_the_run(client, run):
    listening = Listening(client, run)
    listening.next()
    happen(run)
    assert [(event["id"], event["type"]) for event in listening.next()] == [(2, "node.success")]
    happen(run)
    client.post(f"/executions/{run}/cancel")
    rest = listening.rest()
    assert [event["id"] for event in rest if event["event"] is None] == [3, 4]
    assert (rest[-1]["event"], rest[-1]["id"], rest[-1]["status"]) == ("state", 4, "cancelled")


def test_continues_after_the_last_event_received(client, run):
    for _ in range(3):
        happen(run)
    client.post(f"/executions/{run}/cancel")
    state, *events = Listening(client, run, headers={"Last-Event-ID": "2"}).rest()
    assert (state["event"], state["id"], state["seq"]) == ("state", 2, 5)
    assert [event["id"] for event in events] == [3, 4, 5]


def test_a_client_that_is_disconnected_anywhere_misses_nothing(client, run, monkeypatch):
    """It reconnects with the last id it received, the state's or an event's."""
    monkeypatch.setattr(run_views, "PAGE", 2)
    for _ in range(5):
        happen(run)
    client.post(f"/executions/{run}/cancel")
    whole = [event for event in Listening(client, run, query_string={"after": 0}).rest() if event["event"] is None]
    assert [event["id"] for event in whole] == list(range(1, 8))
    for heard in range(1, 9):
        first = Listening(client, run, query_string={"after": 0})
        got = list(islice(first.one_by_one(), heard))
        first.close()
        more = Listening(client, run, headers={"Last-Event-ID": str(got[-1]["id"])})
        got += more.rest() if more.answer.status_code == 200 else []
        assert [event["id"] for event in got if event["event"] is None] == list(range(1, 8))


def test_sends_a_change_that_is_no_event(client, run):
    listening = Listening(client, run)
    listening.next()
    happen(run, status=ExecutionStatus.RUNNING)
    told = listening.next()
    assert [(event["event"], event.get("status")) for event in told] == [(None, None), ("state", "running")]
    listening.close()


def test_a_run_that_is_over_ends_the_stream_for_good(client, run):
    client.post(f"/executions/{run}/cancel")
    (state,) = Listening(client, run).rest()
    assert state["status"] == "cancelled"
    last = {"Last-Event-ID": str(state["id"])}
    assert client.get(f"/executions/{run}/events", headers=last).status_code == 204


def test_says_now_and_then_that_it_is_still_there(client, run, monkeypatch):
    monkeypatch.setattr(event_stream, "HEARTBEAT_SECONDS", 0.01)
    answer = client.get(f"/executions/{run}/events", buffered=False)
    assert b":\n\n" in islice(answer.response, 5)
    answer.response.close()


def test_ends_after_a_while_so_that_its_token_is_checked_again(client, run, monkeypatch):
    monkeypatch.setattr(event_stream, "STREAM_SECONDS", 0.0)
    assert len(Listening(client, run).rest()) == 1


def test_without_a_slot_a_client_gets_the_state_and_reconnects_later(client, run, place):
    open_ones = [Listening(client, run) for _ in range(3)]
    for listening in open_ones:
        listening.next()
    answer = client.get(f"/executions/{run}/events")
    assert answer.data.startswith(b"retry: 5000\n\n")
    assert len(parsed(answer.data)) == 1
    for listening in open_ones:
        listening.close()
    assert len(place) == 0


def test_ends_when_the_process_shuts_down(client, run, place):
    listening = Listening(client, run)
    listening.next()
    place.close()
    assert listening.rest() == []
    until(lambda: len(place) == 0)


@pytest.mark.parametrize("wrong", ["x", "-1", "1" * 19, ""])
def test_an_id_that_is_none_of_ours_is_named(client, run, wrong):
    answer = client.get(f"/executions/{run}/events", headers={"Last-Event-ID": wrong})
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "Last-Event-ID")
