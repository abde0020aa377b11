"""The simulator's HTTP half, and what it says in place of a model."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from simulators.openclaw import Simulator, canned_answers, running_simulator

TOKEN = "development-token"
AUTHORISED = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running_simulator(delay=0.02) as simulator:
        yield simulator


def request(simulator: Simulator, method: str, path: str, body: Any = None, token: str = TOKEN) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, answer.headers["content-type"].split(";")[0], data


@contextmanager
def asking(simulator: Simulator, body: Any) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), AUTHORISED)
    yield connection.getresponse()
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()


def await_no_runs(simulator: Simulator) -> None:
    until = time.monotonic() + 5
    while simulator.active():
        assert time.monotonic() < until, "runs go on without anybody who waits for them"
        time.sleep(0.01)


def completion(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": "openclaw/flow", "messages": [{"role": "user", "content": prompt}], **more}


def test_http_knows_two_kinds_of_401_and_plain_text_for_wrong_addresses(simulator: Simulator) -> None:
    path = "/v1/chat/completions"
    status, _, data = request(simulator, "POST", path, completion("hi"), token="wrong")
    assert (status, json.loads(data)["error"]["type"]) == (401, "unauthorized")
    with running_simulator() as other:
        status, _, data = request(other, "POST", path, completion("[[sim:401]]"))
        assert (status, json.loads(data)["error"]["type"]) == (401, "authentication_error")
    assert request(simulator, "GET", path)[:2] == (405, "text/plain")
    assert request(simulator, "POST", "/execute", {})[:2] == (404, "text/plain")
    assert request(simulator, "POST", path, {"model": "gpt-4", "messages": []})[0] == 400


def test_http_has_no_idempotency_and_leaves_no_task(simulator: Simulator) -> None:
    before = len(simulator.calls)
    for _ in range(2):
        assert request(simulator, "POST", "/v1/chat/completions", completion("[[sim:reply=hi]]"))[0] == 200
    made = simulator.calls[before:]
    assert len(made) == 2
    assert simulator.tasks(made[0]["sessionKey"]) == []


def test_a_failing_http_stream_still_says_200(simulator: Simulator) -> None:
    status, kind, data = request(simulator, "POST", "/v1/chat/completions", completion("[[sim:400]]", stream=True))
    assert (status, kind) == (200, "text/event-stream")
    assert b'"error"' in data
    assert data.endswith(b"data: [DONE]\n\n")


def test_a_stream_sends_words_while_the_run_goes_on(simulator: Simulator) -> None:
    with asking(simulator, completion("[[sim:reply=abc]] [[sim:chunks=3]] [[sim:delay=3]]", stream=True)) as answer:
        assert answer.readline().startswith(b"data: ")
        assert simulator.active() == 1
    await_no_runs(simulator)


def test_a_client_that_leaves_ends_its_run(simulator: Simulator) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
    connection.request("POST", "/v1/chat/completions", json.dumps(completion("[[sim:hang]]")), AUTHORISED)
    while simulator.active() == 0:
        time.sleep(0.01)
    connection.close()
    await_no_runs(simulator)


def test_a_body_over_the_limit_is_refused_in_json(simulator: Simulator) -> None:
    status, kind, data = request(simulator, "POST", "/v1/chat/completions", completion("x" * 21 * 2**20))
    assert (status, kind) == (413, "application/json")
    assert json.loads(data)["error"] == {"message": "Payload too large", "type": "invalid_request_error"}


def test_a_killed_gateway_does_not_respond() -> None:
    with running_simulator(downtime=0.05) as simulator:
        connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
        connection.request("POST", "/v1/chat/completions", json.dumps(completion("[[sim:hang]]")), AUTHORISED)
        while simulator.active() == 0:
            time.sleep(0.01)
        simulator.restart()
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()
        connection.close()
        assert request(simulator, "GET", "/readyz")[0] == 200


def test_health_needs_no_token(simulator: Simulator) -> None:
    assert request(simulator, "GET", "/readyz", token="")[0] == 200


class TestCannedAnswers:
    def test_has_true_facts_of_a_text(self) -> None:
        facts = json.loads(
            canned_answers.canned_answer("Analyse as JSON:\nI love this. The delivery was late. I love it!")
        )
        assert (facts["words"], facts["sentences"]) == (10, 3)
        assert facts["topWords"][0] == "love"
        assert facts["sentiment"] == "positive"

    def test_classifies_with_one_of_the_offered_words(self) -> None:
        prompt = (
            "Classify the mood as one of: positive, negative, neutral.\n\nThe screen was broken and support was slow."
        )
        assert canned_answers.canned_answer(prompt) == "negative"
        assert canned_answers.canned_answer("Classify as one of: invoice, complaint.\n\nHello.") == "invoice"

    def test_says_the_same_thing_twice(self) -> None:
        prompt = "Summarise: The cat sat. It was happy."
        assert canned_answers.canned_answer(prompt) == canned_answers.canned_answer(prompt)
        assert "The cat sat." in canned_answers.canned_answer(prompt)
