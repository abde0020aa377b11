"""Clients that wait over real connections: they hold no thread, and nothing once they are gone."""

import json
from contextlib import ExitStack
from uuid import UUID

from api.limits import concurrency
from models.db import SessionFactory, new_engine, session_scope
from models.tables import Execution
from tests.api.live import happen, until


def test_a_long_poll_ends_with_a_change(caller, place):
    with caller.line() as line:
        line.ask("GET", f"/api/executions/{caller.run}?wait=30&since=1")
        until(lambda: len(place) == 1)
        happen(caller.run)
        answer = line.answer()
        assert (answer.status, answer.json["seq"], answer.headers["retry-after"]) == (200, 2, "1")
        assert "ratelimit-remaining" in answer.headers
    assert len(place) == 0


def test_one_who_waits_holds_neither_a_slot_nor_a_connection_nor_a_thread(caller, place, server):
    threads = server.config.loaded_app._process.threads
    with caller.line() as line:
        line.ask("GET", f"/api/executions/{caller.run}?wait=30&since=1")
        until(lambda: len(place) == 1)
        until(lambda: SessionFactory.kw["bind"].pool.checkedout() == 0 and concurrency.WORKING_SLOTS.free == 16)
        until(lambda: threads._idle_semaphore._value == len(threads._threads))
        happen(caller.run)
        assert line.answer().status == 200


def test_the_subscription_of_a_client_that_disconnects_is_free_at_once(caller, place):
    for path in (f"/api/executions/{caller.run}?wait=30&since=1", f"/api/executions/{caller.run}/events"):
        with caller.line() as line:
            line.ask("GET", path)
            until(lambda: len(place) == 1)
        until(lambda: len(place) == 0, seconds=3)


def test_each_of_many_who_are_woken_together_gets_their_own_run(new_caller, place):
    callers = [new_caller(), new_caller()]
    with ExitStack() as lines:
        polls, streams = [], []
        for caller in callers:
            for waiting, path in ((polls, "?wait=30&since=1"), (polls, "?wait=30"), (streams, "/events")):
                line = lines.enter_context(caller.line())
                line.ask("GET", f"/api/executions/{caller.run}{path}")
                waiting.append((line, caller.run))
        until(lambda: len(place) == 6 and all(one.seen for one in place._all))
        for line, _ in streams:
            line.until(b"id: 1\n")
        for caller in callers:
            happen(caller.run)
        for line, run in polls:
            answer = line.answer()
            assert (answer.status, answer.json["id"], answer.json["seq"]) == (200, run, 2)
        for line, run in streams:
            assert run.encode() in line.until(b"id: 2\n")
            line.until(b'"message":"It ran."')


def test_without_the_database_those_who_wake_are_told_to_come_again(caller, place, monkeypatch):
    with caller.line() as poll, caller.line() as stream:
        poll.ask("GET", f"/api/executions/{caller.run}?wait=30&since=1")
        stream.ask("GET", f"/api/executions/{caller.run}/events")
        stream.until(b"id: 1\n")
        until(lambda: len(place) == 2 and all(one.seen for one in place._all))
        monkeypatch.setitem(SessionFactory.kw, "bind", new_engine("postgresql://127.0.0.1:1/nobody"))
        for one in list(place._all):
            one.wake()
        answer = poll.answer()
        assert (answer.status, answer.json["code"]) == (503, "temporarily_unavailable")
        stream.until(b"0\r\n\r\n")
    until(lambda: len(place) == 0)


def test_one_who_does_not_own_the_run_any_more_is_refused(new_caller, place):
    callers = [new_caller(), new_caller()]
    with callers[0].line() as gone, callers[1].line() as kept:
        for line, caller in ((gone, callers[0]), (kept, callers[1])):
            line.ask("GET", f"/api/executions/{caller.run}?wait=30&since=1")
        until(lambda: len(place) == 2 and all(one.seen for one in place._all))
        with session_scope() as session:
            given, other = (session.get_one(Execution, UUID(caller.run)) for caller in callers)
            given.user_id = other.user_id
        for caller in callers:
            happen(caller.run)
        assert gone.answer().status == 404
        assert kept.answer().json["seq"] == 2


def test_a_client_may_send_its_next_request_while_it_waits(caller, place):
    with caller.line() as line:
        line.ask("GET", f"/api/executions/{caller.run}?wait=30&since=1")
        until(lambda: len(place) == 1)
        line.ask("GET", "/api/auth/me")
        happen(caller.run)
        assert line.answer().json["seq"] == 2
        assert "user" in line.answer().json


def test_a_stream_sends_what_happens_and_ends_with_its_run(caller, place):
    with caller.line() as line, caller.line() as other:
        line.ask("GET", f"/api/executions/{caller.run}/events")
        assert line.answer().headers["content-type"].startswith("text/event-stream")
        assert b"event: state" in line.until(b"id: 1\n")
        happen(caller.run)
        line.until(b"id: 2\n")
        other.ask("POST", f"/api/executions/{caller.run}/cancel", b"{}")
        assert other.answer().status == 202
        line.until(b'"status":"cancelled"')
        line.until(b"0\r\n\r\n")
    until(lambda: len(place) == 0)


def test_all_who_wait_have_a_response_when_the_process_shuts_down(caller, place, server):
    with caller.line() as poll, caller.line() as stream:
        poll.ask("GET", f"/api/executions/{caller.run}?wait=30&since=1")
        stream.ask("GET", f"/api/executions/{caller.run}/events")
        until(lambda: len(place) == 2)
        server.should_exit = True
        assert poll.answer().json["seq"] == 1
        assert stream.answer().status == 200
        stream.until(b"0\r\n\r\n")
        assert poll.is_cut_within(5)
        assert stream.is_cut_within(5)


def test_a_call_is_committed_before_it_waits(caller, place, sent):
    with caller.line() as line:
        body = json.dumps({"paymentMethodId": "pm_card_visa"}).encode()
        line.ask("POST", "/api/payment-methods/add", body, Prefer="wait=30")
        until(lambda: len(place) == 1)
        assert len(sent) == 1
    until(lambda: len(place) == 0, seconds=3)


def test_a_kept_connection_is_served_once_more_when_the_process_shuts_down(caller, server):
    with caller.line() as line, caller.line() as fresh:
        line.ask("GET", "/health/live")
        assert "connection" not in line.answer().headers
        server.should_exit = True
        until(lambda: not server.servers[0].is_serving())
        for one in (line, fresh):
            one.ask("GET", "/health/live")
            answer = one.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert one.is_cut_within(2)


def test_an_idle_connection_does_not_hold_the_end_of_the_process_up(caller, server):
    with caller.line() as line:
        line.ask("GET", "/health/live")
        assert line.answer().status == 200
        server.should_exit = True
        assert line.is_cut_within(8)
