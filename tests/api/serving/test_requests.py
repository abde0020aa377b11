"""Requests as they come over a connection: whole, in chunks, too large, too slow, or from nobody we know."""

import time
from contextlib import ExitStack, suppress

import pytest

from api.http.parsing import MAX_BODY_BYTES, MAX_SMALL_BODY_BYTES
from api.limits import concurrency
from api.serving import exchange, timed_protocol
from api.serving.timed_protocol import MAX_HEAD_BYTES
from models.fair_slots import FairSemaphore
from tests.api.live import until
from tests.api.serving import Line


def test_a_body_may_come_in_chunks(caller):
    with caller.line() as line:
        line.ask("POST", "/api/workflows", Transfer_Encoding="chunked", Content_Type="application/json")
        for part in (b'{"name": "in chunks",', b' "nodes": [], "connections": []}'):
            line.send(b"%x\r\n%s\r\n" % (len(part), part))
        line.send(b"0\r\n\r\n")
        answer = line.answer()
        assert (answer.status, answer.json["workflow"]["name"]) == (201, "in chunks")


@pytest.mark.parametrize(
    ("path", "size"),
    [("/api/auth/login", MAX_SMALL_BODY_BYTES), ("/api/workflows", MAX_BODY_BYTES)],
)
def test_a_body_that_is_too_large_is_refused_before_it_is_sent(caller, path, size):
    with caller.line() as line:
        line.ask("POST", path, Content_Length=str(size + 1), Content_Type="application/json")
        answer = line.answer()
        assert (answer.status, answer.json["code"], answer.headers["connection"]) == (413, "body_too_large", "close")
        assert line.is_cut_within(5)


def test_a_body_in_chunks_is_received_up_to_its_limit(caller):
    with caller.line() as line:
        line.ask("POST", "/api/auth/login", Transfer_Encoding="chunked", Content_Type="application/json")
        line.send(b"%x\r\n%s\r\n" % (MAX_SMALL_BODY_BYTES + 1, b" " * (MAX_SMALL_BODY_BYTES + 1)))
        assert line.answer().status == 413
        assert line.is_cut_within(5)


def test_requests_whose_body_is_refused_begin_one_after_another(monkeypatch, caller, port):
    monkeypatch.setattr(exchange, "LINGER_PAUSE_SECONDS", 0.5)
    begun = time.monotonic()
    with ExitStack() as stack:
        lines = [stack.enter_context(Line(port)) for _ in range(4)]
        for line in lines:
            line.ask("POST", "/api/auth/login", Content_Length="1000000", Content_Type="application/json")
        with caller.line() as other:
            other.ask("GET", "/health/live")
            assert other.answer().status == 200
            assert time.monotonic() - begun < 2
        assert {line.answer().status for line in lines} == {413}
    assert time.monotonic() - begun >= 2


def test_refused_bodies_are_received_one_piece_after_another(monkeypatch, port):
    monkeypatch.setattr(exchange, "LINGER_PAUSE_SECONDS", 0.2)
    with Line(port) as line, Line(port) as other:
        begun = time.monotonic()
        for sender in (line, other):
            sender.ask("POST", "/api/auth/login", b" " * 800_000)
        for sender in (line, other):
            assert sender.answer().status == 413
            assert sender.is_cut_within(5)
        assert time.monotonic() - begun > 1


def test_a_header_with_an_underscore_is_nobodys(caller):
    with caller.line() as line:
        line.send(b"GET /api/auth/me HTTP/1.1\r\nHost: x\r\nX_Request_ID: forged\r\n\r\n")
        assert line.answer().headers["x-request-id"] != "forged"
        line.ask("GET", "/api/auth/me", X_Request_ID="mine")
        assert line.answer().headers["x-request-id"] == "mine"


def test_a_request_to_a_head_has_no_body(caller):
    with caller.line() as line:
        line.send(b"HEAD /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in line.until(b"\r\n\r\n")
        line.ask("GET", "/health/live")
        assert line.answer().json == {"status": "up"}


def test_a_path_is_read_as_the_bytes_that_were_sent(caller):
    with caller.line() as line:
        line.ask("GET", "/api/workflows/%C3%A5%20%2F")
        answer = line.answer()
        assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_headers_that_are_too_large_are_refused(port):
    with Line(port) as line:
        line.send(b"GET /health/live HTTP/1.1\r\nX: " + b"x" * (MAX_HEAD_BYTES + 1000))
        assert line.is_cut_within(5)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\n",
        b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
    ],
)
def test_a_client_that_does_not_say_the_rest_is_cut(monkeypatch, port, said):
    monkeypatch.setattr(timed_protocol, "TIMEOUT_SECONDS", 0.3)
    with Line(port) as line:
        line.send(said)
        assert line.is_cut_within(5)


def test_a_client_that_keeps_its_connection_is_not_cut_for_it(monkeypatch, port):
    monkeypatch.setattr(timed_protocol, "TIMEOUT_SECONDS", 0.3)
    with Line(port) as line:
        for _ in range(2):
            line.ask("GET", "/health/live")
            assert line.answer().status == 200
            assert not line.is_cut_within(0.8)


def test_a_client_that_does_not_read_is_cut(monkeypatch, port, server, caplog):
    monkeypatch.setattr(timed_protocol, "TCP_USER_TIMEOUT_MS", 5000)
    with Line(port) as line:
        line._socket.settimeout(0.5)
        with suppress(TimeoutError):
            while True:
                line.send(b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        until(lambda: not server.server_state.connections and not server.server_state.tasks)
    assert caplog.records == []


class TestStrangers:
    @pytest.fixture
    def slots(self, monkeypatch):
        """Room for one stranger."""
        limits = {concurrency.ANONYMOUS: 1}
        slots = FairSemaphore(4, per_group=4, waiting=0, limits=limits)
        monkeypatch.setattr(concurrency, "WORKING_SLOTS", slots)
        return slots

    def test_take_turns_apart_from_users(self, caller, port, slots):
        with caller.line() as line, Line(port) as stranger, slots.acquired(concurrency.ANONYMOUS, timeout=1):
            line.ask("GET", "/api/auth/me")
            assert line.answer().status == 200
            stranger.ask("GET", "/api/auth/me")
            assert (stranger.answer().status, slots.free) == (503, 3)
            stranger.ask("GET", "/health/live")
            assert stranger.answer().status == 200

    @pytest.mark.parametrize(
        ("method", "path", "status"), [("GET", "/api/health/ready", 200), ("POST", "/webhooks/stripe", 400)]
    )
    def test_do_not_delay_health_checks_and_webhooks(self, port, slots, method, path, status):
        with Line(port) as machine, slots.acquired(concurrency.ANONYMOUS, timeout=1):
            machine.ask(method, path, b"{}" if method == "POST" else b"")
            assert machine.answer().status == status

    @pytest.mark.parametrize("forged", ["eyJhbGciOiJIUzI1NiJ9.e30.x", "x", "af_live_unknown"])
    def test_are_those_too_whose_credential_we_did_not_make(self, port, slots, forged):
        with Line(port, forged) as line, slots.acquired(concurrency.ANONYMOUS, timeout=1):
            line.ask("GET", "/api/auth/me")
            assert line.answer().status == 503

    def test_are_no_longer_strangers_once_their_key_was_verified(self, caller, slots):
        with caller.line() as line:
            line.ask("POST", "/api/access-keys", b'{"name": "Program", "scopes": ["executions:read"]}')
            key = line.answer().json["key"]
        with Line(caller.port, key) as program:
            for _ in range(2):
                program.ask("GET", f"/api/executions/{caller.run}")
                assert program.answer().status == 200
            with slots.acquired(concurrency.ANONYMOUS, timeout=1):
                program.ask("GET", f"/api/executions/{caller.run}")
                assert program.answer().status == 200


def test_many_requests_at_once_are_answered_in_their_order(caller):
    with caller.line() as line:
        for _ in range(500):
            line.ask("GET", "/health/live")
        line.ask("GET", f"/api/executions/{caller.run}")
        assert {line.answer().status for _ in range(500)} == {200}
        assert line.answer().json["id"] == caller.run
