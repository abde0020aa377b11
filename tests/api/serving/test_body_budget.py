"""What a process holds of request bodies is bounded, and nobody's uploads keep those of others out."""

import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from api.limits import body_budget
from api.limits.body_budget import FREE_BYTES
from tests.api.live import until
from tests.api.serving import Answer, Line

BIG = 1024 * 1024
GRAPH = b'{"name": "mine", "nodes": [], "connections": []}'


@pytest.fixture
def uploads(port: int) -> Iterator[Callable[[str], Line]]:
    """Connections on which a megabyte comes, but for the last byte, with the token or as a stranger."""
    with ExitStack() as lines:

        def begin(token: str = "") -> Line:
            line = lines.enter_context(Line(port, token))
            line.ask("POST", "/api/workflows", Content_Type="application/json", Content_Length=str(BIG))
            line.send(b" " * (BIG - 1))
            return line

        yield begin


def a_large_graph(line: Line) -> Answer:
    line.ask("POST", "/api/workflows", GRAPH + b" " * (BIG - len(GRAPH)))
    return line.answer()


def refused(lines: Sequence[Line]) -> Line:
    """The one of these uploads that is refused; the others go on."""
    (answered,), _, _ = select.select([line._socket for line in lines], [], [], 20)
    (line,) = (one for one in lines if one._socket is answered)
    answer = line.answer()
    assert (answer.status, answer.json["code"], answer.headers["connection"]) == (503, "overloaded", "close")
    assert int(answer.headers["retry-after"]) > 0
    return line


class TestStrangers:
    @pytest.fixture
    def full(self, monkeypatch, uploads) -> list[Line]:
        """Two uploads of strangers, which left no room for a third one."""
        monkeypatch.setattr(body_budget, "MAX_GROUP_BYTES", 2 * BIG)
        lines = [uploads() for _ in range(3)]
        lines.remove(refused(lines))
        return lines

    def test_leave_room_for_users(self, full, caller):
        with caller.line() as line:
            assert a_large_graph(line).status == 201

    def test_may_still_sign_in_and_send_what_is_small(self, full, port):
        with Line(port) as stranger:
            stranger.ask("POST", "/api/auth/login", b'{"email": "a@example.com", "password": "long enough"}')
            assert stranger.answer().status == 401
            stranger.ask("POST", "/api/auth/login", b" " * FREE_BYTES)
            assert stranger.answer().status == 400

    def test_have_room_again_once_a_request_is_answered(self, full, uploads):
        full[0].send(b" ")
        assert full[0].answer().status == 401
        self._upload_one_more(uploads)

    def test_have_room_again_once_a_client_is_gone(self, server, full, uploads):
        connections = server.server_state.connections
        before = len(connections)
        full[0].close()
        until(lambda: len(connections) < before)
        self._upload_one_more(uploads)

    def _upload_one_more(self, uploads: Callable[[], Line]) -> None:
        line = uploads()
        line.send(b" ")
        assert line.answer().status == 401


def test_one_users_uploads_leave_room_for_others(monkeypatch, uploads, new_caller):
    monkeypatch.setattr(body_budget, "MAX_GROUP_BYTES", BIG)
    one, other = new_caller(), new_caller()
    refused([uploads(one.token) for _ in range(2)])
    with other.line() as line:
        assert a_large_graph(line).status == 201


def test_all_together_hold_no_more_than_the_process_may(monkeypatch, uploads, new_caller):
    monkeypatch.setattr(body_budget, "MAX_BYTES", 2 * BIG)
    refused([uploads(new_caller().token) for _ in range(3)])
    with new_caller().line() as line:
        line.ask("POST", "/api/workflows", GRAPH)
        assert line.answer().status == 201
