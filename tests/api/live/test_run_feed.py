"""One stream for all runs of a user: new ones, their changes and their ends, and nothing of others."""

import time

import pytest

from api.live import run_feed
from models.db import session_scope
from models.tables import UserSession
from tests.api.live import happen, until
from tests.api.live.test_streams import parsed
from tests.support.api.graphs import workflow


class Feed:
    """An open stream of all runs."""

    def __init__(self, client, **options) -> None:
        self.answer = client.get("/api/events", buffered=False, **options)
        self._chunks = self.answer.response

    def next(self) -> list[dict]:
        """The events of the next piece that has any."""
        return next(events for chunk in self._chunks if (events := parsed(chunk)))

    def close(self) -> None:
        self._chunks.close()


@pytest.fixture(autouse=True)
def _told(place, told, monkeypatch):
    """Publish changes, and wait for none longer than it takes."""
    monkeypatch.setattr(run_feed, "PAUSE_SECONDS", 0.05)


def started(client) -> str:
    workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
    return client.post(f"/workflows/{workflow_id}/execute").json["id"]


def test_begins_with_the_runs_that_have_not_ended(client, run):
    ended = started(client)
    client.post(f"/executions/{ended}/cancel")
    feed = Feed(client)
    assert feed.answer.mimetype == "text/event-stream"
    (event,) = feed.next()
    assert (event["event"], event["status"], event["workflowName"]) == ("run", "queued", "Echo")
    feed.close()


def test_shows_a_new_run_and_each_change_until_its_end(client, run):
    feed = Feed(client)
    feed.next()
    new = started(client)
    (event,) = feed.next()
    assert (event["status"], event["createdAt"]) == ("queued", client.get(f"/executions/{new}").json["createdAt"])
    happen(new)
    (event,) = feed.next()
    assert event["seq"] == 2
    client.post(f"/executions/{new}/cancel")
    (event,) = feed.next()
    assert event["status"] == "cancelled"
    feed.close()


def test_continues_with_what_happened_while_the_client_was_away(client, run):
    feed = Feed(client)
    (event,) = feed.next()
    feed.close()
    client.post(f"/executions/{run}/cancel")
    again = Feed(client, headers={"Last-Event-ID": str(event["id"])})
    assert [shown["status"] for shown in again.next()] == ["cancelled"]
    again.close()
    late = Feed(client, headers={"Last-Event-ID": str(event["id"] + 60_000_000)})
    assert parsed(next(late._chunks)) == []
    late.close()


def test_shows_no_runs_of_others(client, new_client, run):
    other = new_client()
    mine = started(other)
    feed = Feed(other)
    (event,) = feed.next()
    assert event["createdAt"] == other.get(f"/executions/{mine}").json["createdAt"]
    feed.close()


def test_takes_one_place_and_leaves_it(client, run, place):
    feed = Feed(client)
    feed.next()
    started(client)
    feed.next()
    assert len(place) == 1
    feed.close()
    until(lambda: len(place) == 0)
    assert not place._by_id


def test_a_user_gets_a_few_at_a_time(client, run, place):
    feeds = [Feed(client) for _ in range(4)]
    firsts = [next(feed._chunks) for feed in feeds]
    assert firsts[-1] != firsts[0]  # told to come back later
    for feed in feeds:
        feed.next()
        feed.close()


def test_ends_with_the_session(client, run, monkeypatch):
    feed = Feed(client)
    feed.next()
    with session_scope() as session:
        session.query(UserSession).delete()
    began = time.monotonic()
    assert [events for chunk in feed._chunks if (events := parsed(chunk))] == []
    assert time.monotonic() - began < 10
