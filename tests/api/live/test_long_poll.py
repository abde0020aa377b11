"""Long polls: they return at once on a change, and hold no resources that others need."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event

from api.limits import concurrency
from api.live import change_notifier
from api.live.change_notifier import ChangeNotifier
from api.live.execution_document import retry_after
from models.db import SessionFactory
from models.rules.executions.states import ExecutionStatus
from models.tables import Execution
from tests.api.live import Asking, happen, until
from tests.support.api.graphs import workflow


@pytest.fixture
def deaf(app, place, monkeypatch) -> Iterator[ChangeNotifier]:
    """A notifier whose Redis is away."""
    monkeypatch.setattr(change_notifier, "DISCONNECTED_POLL_SECONDS", 0.05)
    deaf = ChangeNotifier("redis://127.0.0.1:1/0", max_subscriptions=8, max_per_user=8)
    monkeypatch.setitem(app.extensions, "change_notifier", deaf)
    yield deaf
    deaf.close()


class TestWaiting:
    def test_ends_at_once_with_an_announced_change(self, client, run, place, told):
        asking = Asking(client, place, f"/api/executions/{run}?wait=30&since=1")
        happen(run, progress=50)
        answer = asking.answer()
        assert (answer.status_code, answer.json["seq"], answer.json["progress"]) == (200, 2, 50)
        assert answer.headers["Retry-After"] == "1"
        assert len(place) == 0

    def test_ends_with_a_requested_change(self, client, run, place, told):
        asking = Asking(client, place, f"/executions/{run}?wait=30&since=1")
        client.post(f"/executions/{run}/cancel")
        answer = asking.answer()
        assert answer.json["status"] == "cancelled"
        assert "Retry-After" not in answer.headers

    def test_does_not_begin_when_there_is_a_change_already(self, client, run, place):
        happen(run)
        assert client.get(f"/executions/{run}?wait=30&since=1").json["seq"] == 2

    def test_does_not_begin_for_a_run_that_is_over(self, client, run, place):
        client.post(f"/executions/{run}/cancel")
        answer = client.get(f"/executions/{run}?wait=30&since=2")
        assert (answer.json["status"], answer.json["seq"]) == ("cancelled", 2)

    def test_ends_in_time_with_the_same_seq(self, client, run, place):
        started = time.monotonic()
        answer = client.get(f"/executions/{run}?wait=1&since=1")
        assert time.monotonic() - started >= 1
        assert (answer.status_code, answer.json["seq"], answer.headers["Retry-After"]) == (200, 1, "0")

    def test_without_since_means_any_change_from_now_on(self, client, run, place, told):
        happen(run)
        asking = Asking(client, place, f"/executions/{run}?wait=30")
        happen(run)
        assert asking.answer().json["seq"] == 3

    def test_ends_with_a_change_that_is_no_event(self, client, run, place, told):
        """A run begins: its worker has written nothing yet."""
        asking = Asking(client, place, f"/executions/{run}?wait=30&since=2")
        happen(run, status=ExecutionStatus.RUNNING)
        assert asking.answer().json["status"] == "running"

    def test_with_an_etag_ends_as_unchanged_or_with_another_one(self, client, run, place, told):
        tag = client.get(f"/executions/{run}").headers["ETag"]
        address, known = f"/executions/{run}?wait=1", {"If-None-Match": tag}
        answer = client.get(address, headers=known)
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", tag)
        asking = Asking(client, place, f"/executions/{run}?wait=30", headers=known)
        happen(run)
        assert asking.answer().status_code == 200
        assert client.get(address, headers=known).headers["ETag"] != tag

    @pytest.mark.parametrize("wrong", ["wait=x", "wait=-1", "since=-1", "since=1.5"])
    def test_of_no_sense_is_refused(self, client, run, wrong):
        assert client.get(f"/executions/{run}?{wrong}").status_code == 422

    def test_is_not_for_runs_of_others(self, run, new_client, place):
        for unknown in (run, uuid4()):
            assert new_client().get(f"/executions/{unknown}?wait=30").status_code == 404

    def test_counts_once(self, client, run, place):
        left = int(client.get(f"/executions/{run}").headers["RateLimit-Remaining"])
        answer = client.get(f"/executions/{run}?wait=1&since=1")
        assert int(answer.headers["RateLimit-Remaining"]) == left - 1


class TestMany:
    def test_wait_together_for_the_first_of_them_to_change(self, client, run, place, told):
        workflow_id = client.get(f"/executions/{run}").json["workflowId"]
        second = client.post(f"/workflows/{workflow_id}/execute").json["id"]
        address = f"/executions?ids={run},{second}&wait="
        known = {"If-None-Match": client.get(f"/executions?ids={run},{second}").headers["ETag"]}
        assert client.get(f"{address}1", headers=known).status_code == 304
        asking = Asking(client, place, f"{address}30", headers=known)
        happen(second)
        answer = asking.answer()
        assert {item["id"]: item["seq"] for item in answer.json["executions"]} == {run: 1, second: 2}
        assert client.get(f"{address}30", headers=known).status_code == 200

    def test_wait_although_more_are_named_than_fit_on_the_page(self, client, run, place):
        workflow_id = client.get(f"/executions/{run}").json["workflowId"]
        second = client.post(f"/workflows/{workflow_id}/execute").json["id"]
        address = f"/executions?ids={run},{second}&limit=1"
        known = {"If-None-Match": client.get(address).headers["ETag"]}
        started = time.monotonic()
        assert client.get(f"{address}&wait=1", headers=known).status_code == 304
        assert time.monotonic() - started >= 1

    def test_do_not_wait_when_all_are_over_or_none_is_named(self, client, run, place):
        client.post(f"/executions/{run}/cancel")
        for address in (f"/executions?ids={run}&wait=30", "/executions?wait=30", f"/executions?ids={uuid4()}&wait=30"):
            assert client.get(address).status_code == 200


class TestHoldingNothing:
    def test_neither_a_connection_nor_a_working_slot(self, client, run, place, told):
        pool = SessionFactory.kw["bind"].pool
        free = concurrency.WORKING_SLOTS.free
        asking = Asking(client, place, f"/executions/{run}?wait=30&since=1")
        until(lambda: pool.checkedout() == 0 and concurrency.WORKING_SLOTS.free == free)
        happen(run)
        asking.answer()
        assert concurrency.WORKING_SLOTS.free == free


class TestSubscriptionLimits:
    def test_of_one_user_are_few_and_others_find_theirs(self, client, run, place, told, new_client):
        waiting = [Asking(client, place, f"/executions/{run}?wait=30") for _ in range(3)]
        answer = client.get(f"/executions/{run}?wait=30&since=1")
        assert (answer.status_code, answer.json["seq"], answer.headers["Retry-After"]) == (200, 1, "5")
        neighbour = new_client()
        workflow_id = neighbour.post("/workflows", json=workflow()).json["workflow"]["id"]
        theirs = neighbour.post(f"/workflows/{workflow_id}/execute").json["id"]
        asking = Asking(neighbour, place, f"/executions/{theirs}?wait=30")
        assert asking.is_waiting
        for one in (run, theirs):
            happen(one)
        assert {one.answer().status_code for one in (*waiting, asking)} == {200}

    def test_are_closed_at_once_when_the_process_shuts_down(self, client, run, place):
        asking = Asking(client, place, f"/executions/{run}?wait=30&since=1")
        place.close()
        assert asking.answer().json["seq"] == 1
        answer = client.get(f"/executions/{run}?wait=30&since=1")
        assert (answer.json["seq"], answer.headers["Retry-After"]) == (1, "5")


class TestWithoutRedis:
    def test_a_change_is_found_all_the_same(self, client, run, deaf):
        asking = Asking(client, deaf, f"/executions/{run}?wait=30&since=1")
        happen(run, tell=False)
        assert asking.answer().json["seq"] == 2

    def test_one_query_looks_for_all(self, client, run, deaf):
        waiting = [Asking(client, deaf, f"/executions/{run}?wait=30") for _ in range(5)]
        asked: list[str] = []
        engine = SessionFactory.kw["bind"]
        event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
        until(lambda: len(asked) >= 3)
        assert {statement.split()[0] for statement in asked} == {"SELECT"}
        assert all("ANY(" in statement for statement in asked)
        happen(run, tell=False)
        assert {one.answer().json["seq"] for one in waiting} == {2}

    def test_a_lost_message_only_takes_longer(self, client, run, app, redis_url, monkeypatch):
        monkeypatch.setattr(change_notifier, "POLL_SECONDS", 0.1)
        monkeypatch.setitem(app.extensions, "change_notifier", place := ChangeNotifier(redis_url))
        asking = Asking(client, place, f"/executions/{run}?wait=30&since=1")
        happen(run, tell=False)
        assert asking.answer().json["seq"] == 2
        place.close()


class TestPace:
    @pytest.mark.parametrize(
        ("columns", "seconds"),
        [
            ({"status": ExecutionStatus.RUNNING}, 2),
            ({"status": ExecutionStatus.WAITING, "waiting_for": {"type": "approval"}}, 15),
            ({"status": ExecutionStatus.WAITING, "waiting_for": {"type": "budget"}}, 15),
            ({"status": ExecutionStatus.WAITING, "wake_at": datetime(2100, 1, 1, tzinfo=UTC)}, 60),
            ({"status": ExecutionStatus.WAITING, "wake_at": datetime(2000, 1, 1, tzinfo=UTC)}, 2),
        ],
    )
    def test_follows_the_state_of_the_run(self, client, run, columns, seconds):
        happen(run, **columns)
        assert client.get(f"/executions/{run}").headers["Retry-After"] == str(seconds)

    @pytest.mark.parametrize(("place", "seconds"), [(None, 2), (1, 2), (25, 5), (1000, 15)])
    def test_is_slower_the_more_come_before(self, place, seconds):
        assert retry_after(Execution(status=ExecutionStatus.QUEUED), place) == seconds

    def test_counts_who_comes_before(self, client, run):
        answer = client.get(f"/executions/{run}")
        told = retry_after(Execution(status=ExecutionStatus.QUEUED), answer.json["queuePosition"])
        assert answer.headers["Retry-After"] == str(told)

    def test_meets_a_timer_when_it_is_due(self, client, run):
        happen(run, status=ExecutionStatus.WAITING, wake_at=datetime.now(UTC) + timedelta(seconds=30))
        assert 28 <= int(client.get(f"/executions/{run}").headers["Retry-After"]) <= 31
