"""Nodes that call an API, a model or an agent."""

import pytest

from models.rules.graph.effects import AgentTurn, Done, HttpCall, HttpResponse, ModelCall, TextResult
from models.rules.graph.graph import Node, Retry
from models.rules.graph.kinds import NodeCall
from models.rules.nodes import KINDS
from models.rules.prices.pricing import Provider
from models.rules.values.scope import Scope
from tests.support.engine.node_steps import begin, call, fails


class TestApiCall:
    def test_asks_for_a_request_with_a_json_body(self):
        config = {"method": "post", "url": "https://x.example/{{ data }}", "body": {"a": "{{ data }}"}, "timeout": 5}
        expected = HttpCall("POST", "https://x.example/7", {"Content-Type": "application/json"}, b'{"a": 7}', 5.0)
        assert begin("api_call", config, data=7) == expected

    def test_sends_texts_as_they_are_and_keeps_the_given_content_type(self):
        config = {"method": "PUT", "url": "https://x.example", "headers": {"content-type": "text/csv"}, "body": "a,b"}
        asked = begin("api_call", config)
        assert (asked.headers, asked.body) == ({"content-type": "text/csv"}, b"a,b")

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ({"url": "{{ 'ftp://x' }}"}, "must begin with http"),
            ({"url": "https://x.example/{{ 'a b' }}"}, "urlEncode"),
            ({"url": "https://x.example", "headers": {"X": "{{ 'a\\r\\nEvil: b' }}"}}, "line break"),
            ({"url": "https://x.example", "headers": {"X Y": "1"}}, "not a valid name of a header"),
            ({"url": "https://x.example", "timeout": "{{ 0 }}"}, "at least 0.1"),
            ({"url": "{{ data }}"}, "must not be empty"),
        ],
    )
    def test_refuses(self, config, words):
        assert words in fails("api_call", config)

    def test_answers_status_headers_and_body(self):
        done = KINDS["api_call"].finish(
            call("api_call", {"url": "https://x"}), HttpResponse(200, {"a": "b"}, {"ok": True})
        )
        assert done == Done({"status": 200, "headers": {"a": "b"}, "body": {"ok": True}})

    @pytest.mark.parametrize(
        ("config", "attempts"),
        [({}, 3), ({"method": "POST"}, 1), ({"method": "POST", "retries": 2}, 3), ({"retries": 0}, 1)],
    )
    def test_repeats_what_may_be_repeated(self, config, attempts):
        asked = call("api_call", {"url": "https://x", **config})
        assert KINDS["api_call"].retry_for(asked).max_attempts == attempts

    def test_the_node_has_the_last_word_on_repeating(self):
        node = Node("n1", "api_call", "x", {}, retry=Retry(max_attempts=7))
        assert KINDS["api_call"].retry_for(NodeCall(node, {"retries": 0}, Scope({}), None)).max_attempts == 7


class TestAgent:
    def test_uses_openclaw_by_default(self):
        assert begin("ai_agent", {"prompt": "Hi {{ data }}", "agentId": "x"}, data=1) == AgentTurn("Hi 1", None, "x")

    def test_asks_a_provider(self):
        config = {"provider": "OpenAI", "model": "m", "prompt": "Hi", "system": "Be brief", "maxTokens": "50"}
        assert begin("ai_agent", config) == ModelCall(Provider.OPENAI, "m", "Hi", "Be brief", 50)

    @pytest.mark.parametrize("field", ["model", "maxTokens"])
    def test_refuses_what_openclaw_does_not_take_before_it_runs(self, field):
        found = KINDS["ai_agent"].findings({"prompt": "Hi", field: "5"})
        assert [(severity, name) for severity, name, _ in found] == [("error", field)]
        assert not KINDS["ai_agent"].findings({"provider": "google", "prompt": "Hi", field: "5"})

    def test_asks_with_the_data_when_there_is_no_prompt(self):
        assert begin("ai_agent", data={"a": 1}).prompt == '{"a": 1}'

    def test_refuses_to_ask_nothing(self):
        assert "nothing to ask" in fails("ai_agent")

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ('{"a": 1}', {"a": 1}),
            ('Here:\n```json\n{"a": 1}\n```\nbye', {"a": 1}),
            ("```\n[1]\n```", [1]),
            ("[1, oops", None),
            ("plain 12", None),
            ("12", None),
            ("[NaN]", None),
            ("[" * 5000, None),
            ("[" * 300 + "]" * 300, None),
            ('["\\ud800"]', ["\ufffd"]),
            ("[123456789012345678901234567890]", ["123456789012345678901234567890"]),
        ],
    )
    def test_finds_json_in_what_was_said(self, text, value):
        done = KINDS["ai_agent"].finish(call("ai_agent", {"prompt": "x"}), TextResult(text, "m", {"total": 3}))
        assert done == Done({"text": text, "json": value, "model": "m", "usage": {"total": 3}})

    def test_is_priced_by_its_provider(self):
        assert KINDS["ai_agent"].provider({"provider": "anthropic"}) is Provider.ANTHROPIC
        assert KINDS["ai_agent"].provider({}) is Provider.OPENCLAW
