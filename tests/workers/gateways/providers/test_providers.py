import logging
import traceback
from dataclasses import fields

import pytest

from models.rules.graph.effects import ModelCall, TextResult
from models.rules.prices.pricing import Provider
from models.services.accounts.provider_keys import PREFIXES
from settings import ProviderUrls
from simulators.ai.server import AiSimulator, running_ai_simulator
from tests.support.engine.every_node import KEYS
from tests.support.servers.raw_server import answer, raw_server, redirect
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.providers import DEFAULT_MODELS, FORMATS, Providers
from workers.gateways.providers.base import TITLES

KEY = "sk-canary-0123456789abcdef"
ALL = sorted(set(Provider) - {Provider.OPENCLAW})  # which uses the service's own token


@pytest.fixture(scope="module")
def simulator():
    with running_ai_simulator() as found:
        yield found


@pytest.fixture
def ask(simulator: AiSimulator):
    """Ask a provider's simulator one question."""
    providers = Providers(ProviderUrls(simulator.openai, simulator.anthropic, simulator.google))
    simulator.requests.clear()

    def call(provider: Provider, prompt: str, *, api_key: str = KEY, **fields) -> TextResult:
        wanted = ModelCall(provider, fields.pop("model", None), prompt, **fields)
        return providers.call(wanted, api_key=api_key, cancel=Cancel(), idempotency_key="run:node:1")

    return call


def failure(ask, *args, **fields) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        ask(*args, **fields)
    return caught.value


@pytest.mark.parametrize(
    "known", [FORMATS, DEFAULT_MODELS, TITLES, PREFIXES, [field.name for field in fields(ProviderUrls)], KEYS]
)
def test_every_provider_is_known_wherever_one_must_be(known):
    assert sorted(known) == ALL


@pytest.mark.parametrize("provider", ALL)
class TestAnswers:
    def test_says_what_the_model_said_and_counts_its_tokens(self, ask, provider):
        found = ask(provider, "I love this. It is great.", system="Be brief.")
        assert "sounds positive" in found.text
        assert found.model == DEFAULT_MODELS[provider]
        assert found.finish == "stop"
        assert found.usage["total"] == found.usage["input"] + found.usage["output"] > 0

    def test_asks_for_the_model_and_the_length_that_the_node_names(self, ask, provider):
        found = ask(provider, "Some words that are described at length.", model="my-model_1.5", max_tokens=5)
        assert found.model == "my-model_1.5"
        assert found.finish == "length"
        assert 0 < len(found.text) <= 20

    def test_the_key_travels_in_its_header_and_never_in_the_address(self, ask, provider, simulator):
        ask(provider, "hello")
        ((method, path, headers),) = simulator.requests
        assert method == "POST"
        assert KEY not in path
        carrying = [name for name, value in headers.items() if KEY in value]
        assert carrying == [{"openai": "authorization", "anthropic": "x-api-key", "google": "x-goog-api-key"}[provider]]
        assert headers["idempotency-key"] == "run:node:1"

    def test_a_broken_answer_is_asked_for_once_more(self, ask, provider, simulator):
        for fault in ("half", "badjson", "missing"):
            assert ask(provider, f"[[sim:{fault}*1]] {provider} {fault}").text
        assert len(simulator.requests) == 6


@pytest.mark.parametrize("provider", ALL)
class TestFailures:
    @pytest.mark.parametrize(
        ("directive", "code", "retryable"),
        [
            ("401", "provider_key_rejected", False),
            ("403", "provider_key_rejected", False),
            ("404", "model_not_found", False),
            ("400", "provider_invalid_request", False),
            ("422", "provider_invalid_request", False),
            ("413", "context_too_long", False),
            ("429", "rate_limited", True),
            ("500", "provider_unavailable", True),
            ("502", "provider_unavailable", True),
            ("408", "provider_unavailable", True),
            ("503", "provider_overloaded", True),
            ("529", "provider_overloaded", True),
            ("quota", "provider_quota", False),
            ("context", "context_too_long", False),
            ("refuse", "provider_refused", False),
            ("empty", "provider_length", False),
            ("half", "provider_bad_answer", False),
            ("badjson", "provider_bad_answer", False),
            ("missing", "provider_bad_answer", False),
        ],
    )
    def test_every_failure_has_one_name_whichever_provider_it_comes_from(
        self, ask, provider, directive, code, retryable
    ):
        failed = failure(ask, provider, f"[[sim:{directive}]]")
        assert (failed.code, failed.retryable) == (code, retryable)
        assert {"openai": "OpenAI", "anthropic": "Anthropic", "google": "Google"}[provider] in str(failed)

    def test_says_when_to_come_back(self, ask, provider):
        assert failure(ask, provider, "[[sim:429]]").retry_after == 3.0

    def test_a_wrong_key_is_refused_without_quoting_it(self, ask, provider):
        failed = failure(ask, provider, "hello", api_key="sk-invalid-0123456789")
        assert failed.code == "provider_key_rejected"
        assert "sk-" not in str(failed)

    @pytest.mark.parametrize("key", ["", "  ", "sk-a\r\nX-Evil: 1", "sk-ключ", "sk a"])
    def test_what_cannot_be_a_key_is_not_sent(self, ask, provider, simulator, key):
        assert failure(ask, provider, "hello", api_key=key).code == "provider_key_rejected"
        assert simulator.requests == []

    @pytest.mark.parametrize("model", ["../../v1/files", "a/../b", "a b", "x?key=1", "x#y", "\r\n", "m" * 300])
    def test_a_model_name_cannot_lead_to_another_endpoint(self, ask, provider, simulator, model):
        assert failure(ask, provider, "hello", model=model).code == "invalid_request"
        assert simulator.requests == []

    def test_a_silent_provider_costs_no_more_than_the_time_limit(self, ask, provider):
        failed = failure(ask, provider, "[[sim:hang]]", timeout=0.2)
        assert (failed.code, failed.outcome) == ("timeout", "timeout")

    def test_a_prompt_that_is_not_text_is_refused(self, ask, provider):
        assert failure(ask, provider, "\ud800").code == "invalid_request"

    def test_cancelling_ends_the_call(self, simulator, provider):
        cancel = Cancel()
        cancel.set()
        providers = Providers(ProviderUrls(simulator.openai, simulator.anthropic, simulator.google))
        with pytest.raises(CallFailed) as caught:
            providers.call(ModelCall(provider, None, "hello"), api_key=KEY, cancel=cancel, idempotency_key="k")
        assert caught.value.outcome == "cancelled"


@pytest.mark.parametrize("provider", ALL)
class TestTheKeyIsNowhere:
    @pytest.mark.parametrize(
        "prompt",
        [
            *(f"[[sim:{status}]]" for status in (400, 401, 403, 404, 429, 500, 529)),
            *(f"[[sim:{fault}]]" for fault in ("quota", "context", "refuse", "empty", "half", "badjson", "missing")),
            "\ud800",
        ],
    )
    def test_not_in_an_error_not_in_its_trace_not_in_a_log(self, ask, provider, prompt, caplog):
        caplog.set_level(logging.DEBUG)
        failed = failure(ask, provider, prompt)
        self.search(failed, caplog)

    def test_not_even_when_the_provider_repeats_it(self, provider, caplog):
        caplog.set_level(logging.DEBUG)
        quoted = f'"message": "bad key {KEY}, Bearer {KEY}", "status": "X", "type": "{KEY}", "code": "{KEY}"'
        for status in ("400 Bad", "401 No", "500 Oops"):
            with raw_server(answer(f'{{"error": {{{quoted}}}}}'.encode(), status=status)) as server:
                self.search(self.ask_at(server.url("/v1"), provider), caplog)

    @pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 2", b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\n: odd\r\n\r\n{}"])
    def test_not_when_the_connection_breaks(self, provider, caplog, raw):
        caplog.set_level(logging.DEBUG)
        with raw_server(lambda sock: sock.sendall(raw)) as server:
            self.search(self.ask_at(server.url("/v1"), provider), caplog)

    def test_not_without_a_connection_or_with_a_malformed_key(self, provider, caplog):
        caplog.set_level(logging.DEBUG)
        with raw_server(answer()) as server:
            pass
        self.search(self.ask_at(server.url("/v1"), provider), caplog)
        self.search(self.ask_at(server.url("/v1"), provider, key=f"{KEY}\nX: y"), caplog)
        self.search(self.ask_at(server.url("/v1"), provider, key=f"{KEY}ключ"), caplog)

    def test_not_in_what_is_made_of_it_on_the_way(self, provider):
        outgoing = FORMATS[provider].write(ModelCall(provider, None, "hi"), "model", KEY)
        assert KEY not in repr(outgoing)

    def test_a_redirect_does_not_carry_it_away(self, provider):
        with raw_server(answer(b"{}")) as thief, raw_server(redirect(thief.url("/v1"), 307)) as server:
            failed = self.ask_at(server.url("/v1"), provider)
        assert not failed.retryable
        assert thief.connections == 0

    @staticmethod
    def ask_at(url: str, provider: Provider, key: str = KEY) -> CallFailed:
        providers = Providers(ProviderUrls(url, url, url))
        with pytest.raises(CallFailed) as caught:
            providers.call(ModelCall(provider, None, "hi"), api_key=key, cancel=Cancel(), idempotency_key="k")
        return caught.value

    @staticmethod
    def search(failed: CallFailed, caplog) -> None:
        errors, seen = [failed], []
        while errors:
            error = errors.pop()
            seen += [str(error), repr(error), repr(error.args), repr(vars(error))]
            errors += [linked for linked in (error.__cause__, error.__context__) if linked is not None]
        seen += traceback.format_exception(failed)
        seen += [str(vars(record)) + record.getMessage() for record in caplog.records]
        for text in seen:
            assert KEY not in text
            assert KEY[3:20] not in text


class TestWireFormats:
    """Corners that only one of the providers has."""

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
            ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
            ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "350ms"}, 0.35),
            ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "9s"}, None),
        ],
    )
    def test_openai_says_in_several_headers_when_its_budget_is_full_again(self, headers, seconds):
        with raw_server(answer(b"{}", status="429 X", **headers)) as server:
            assert TestTheKeyIsNowhere.ask_at(server.url("/v1"), Provider.OPENAI).retry_after == seconds

    @pytest.mark.parametrize(("wait", "seconds"), [("1.2s", 1.2), ("6m0s", 360.0), ("350ms", 0.35), ("a while", None)])
    def test_openai_or_in_its_sentence(self, wait, seconds):
        said = (
            b'{"error": {"code": "rate_limit_exceeded", "message": "Please try again in %s. Visit us."}}'
            % wait.encode()
        )
        with raw_server(answer(said, status="429 X", Content_Type="application/json")) as server:
            assert TestTheKeyIsNowhere.ask_at(server.url("/v1"), Provider.OPENAI).retry_after == seconds

    @pytest.mark.parametrize(
        ("provider", "body", "text"),
        [
            (
                Provider.ANTHROPIC,
                {
                    "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "A"}],
                    "stop_reason": "x",
                },
                "A",
            ),
            (
                Provider.GOOGLE,
                {
                    "candidates": [
                        {"content": {"parts": [{"text": "hm", "thought": True}, {"text": "A"}, {"text": "B"}]}}
                    ]
                },
                "AB",
            ),
        ],
    )
    def test_thoughts_are_not_part_of_the_answer(self, provider, body, text):
        assert FORMATS[provider].read(body).text == text

    def test_google_blocks_a_prompt_without_giving_candidates(self):
        with pytest.raises(CallFailed) as caught:
            FORMATS[Provider.GOOGLE].read({"promptFeedback": {"blockReason": "SAFETY"}})
        assert caught.value.code == "provider_refused"

    def test_openai_refuses_in_a_field_of_its_own(self):
        message = {"content": None, "refusal": "I cannot help with that."}
        with pytest.raises(CallFailed, match="cannot help"):
            FORMATS[Provider.OPENAI].read({"choices": [{"message": message, "finish_reason": "stop"}]})

    def test_anthropic_always_gets_a_token_limit(self):
        payload = FORMATS[Provider.ANTHROPIC].write(ModelCall(Provider.ANTHROPIC, None, "hi"), "m", KEY).payload
        assert payload["max_tokens"] > 0

    @pytest.mark.parametrize("provider", ALL)
    @pytest.mark.parametrize("body", [[], {}, None, "text", 1, {"choices": []}, {"content": 1}, {"candidates": [[]]}])
    def test_an_answer_of_another_shape_is_a_bad_answer(self, provider, body):
        with pytest.raises((KeyError, IndexError, TypeError, AttributeError)):
            FORMATS[provider].read(body)
