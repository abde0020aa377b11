"""The simulator's HTTP half, and what it says in place of a model."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from devstack.openclaw_simulator import Simulator, brain, running_simulator

TOKEN = "development-token"


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


def completion(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": "openclaw/flow", "messages": [{"role": "user", "content": prompt}], **more}


def test_http_knows_two_kinds_of_401_and_plain_text_for_wrong_doors(simulator: Simulator) -> None:
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


def test_health_needs_no_token(simulator: Simulator) -> None:
    assert request(simulator, "GET", "/readyz", token="")[0] == 200


class TestBrain:
    def test_tells_true_facts_of_a_text(self) -> None:
        facts = json.loads(brain.answer("Analyse as JSON:\nI love this. The delivery was late. I love it!"))
        assert (facts["words"], facts["sentences"]) == (10, 3)
        assert facts["topWords"][0] == "love"
        assert facts["sentiment"] == "positive"

    def test_classifies_with_one_of_the_offered_words(self) -> None:
        prompt = (
            "Classify the mood as one of: positive, negative, neutral.\n\nThe screen was broken and support was slow."
        )
        assert brain.answer(prompt) == "negative"
        assert brain.answer("Classify as one of: invoice, complaint.\n\nHello.") == "invoice"

    def test_says_the_same_thing_twice(self) -> None:
        prompt = "Summarise: The cat sat. It was happy."
        assert brain.answer(prompt) == brain.answer(prompt)
        assert "The cat sat." in brain.answer(prompt)
