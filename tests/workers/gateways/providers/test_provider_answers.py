"""Refusals that no waiting mends, errors behind a 200, and answers with nothing in them: the same for all providers."""

from collections.abc import Callable, Iterator

import orjson
import pytest

from models.rules.graph.effects import ModelCall, TextResult
from models.rules.prices.pricing import Provider
from settings import ProviderUrls
from simulators.ai.faults import QUOTAS
from simulators.ai.formats import Anthropic, Google, OpenAi
from simulators.ai.server import AiSimulator, running_ai_simulator
from tests.support.servers.raw_server import answer, raw_server
from workers.engine.attempts.limiter import CONGESTION
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.providers import Providers

KEY = "sk-test-0123456789abcdef"
SPEAKERS = {Provider.OPENAI: OpenAi, Provider.ANTHROPIC: Anthropic, Provider.GOOGLE: Google}
ALL = list(SPEAKERS)
Ask = Callable[[Provider, str], TextResult]


@pytest.fixture(scope="module")
def simulator() -> Iterator[AiSimulator]:
    with running_ai_simulator() as found:
        yield found


@pytest.fixture
def ask(simulator: AiSimulator) -> Ask:
    simulator.requests.clear()
    return asker(ProviderUrls(simulator.openai, simulator.anthropic, simulator.google))


def asker(urls: ProviderUrls) -> Ask:
    providers = Providers(urls)
    return lambda provider, prompt: providers.call(
        ModelCall(provider, None, prompt), api_key=KEY, cancel=Cancel(), idempotency_key="run:node:1"
    )


def failure(ask: Ask, provider: Provider, prompt: str) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        ask(provider, prompt)
    return caught.value


class TestAQuota:
    @pytest.mark.parametrize(
        ("provider", "variant"), [(found, name) for found, speaker in SPEAKERS.items() for name in QUOTAS[speaker]]
    )
    def test_that_is_used_up_fails_at_once_whatever_the_status_says(self, ask, simulator, provider, variant):
        failed = failure(ask, provider, f"[[sim:quota={variant}]]")
        assert (failed.code, failed.retryable, failed.retry_after) == ("provider_quota", False, None)
        assert failed.code not in CONGESTION  # nobody else of the account waits for it
        assert QUOTAS[SPEAKERS[provider]][variant].message in failed.detail
        assert len(simulator.requests) == 1

    @pytest.mark.parametrize("provider", ALL)
    def test_of_a_minute_is_a_rate_limit_although_its_sentence_is_the_same(self, ask, provider):
        failed = failure(ask, provider, "[[sim:rate]]")
        assert (failed.code, failed.retryable, failed.retry_after) == ("rate_limited", True, 3.0)

    def test_that_one_prompt_alone_exceeds_is_that_prompts_fault(self, ask):
        failed = failure(ask, Provider.OPENAI, "[[sim:context=minute]]")
        assert (failed.code, failed.retryable) == ("context_too_long", False)

    def test_of_an_account_without_billing_is_no_wrong_key(self, ask):
        assert failure(ask, Provider.GOOGLE, "[[sim:quota=billing]]").code == "provider_quota"


@pytest.mark.parametrize("provider", ALL)
class TestAnErrorBehindA200:
    @pytest.mark.parametrize(
        ("status", "code", "retryable"),
        [
            ("429", "rate_limited", True),
            ("500", "provider_unavailable", True),
            ("503", "provider_overloaded", True),
            ("400", "provider_invalid_request", False),
            ("404", "model_not_found", False),
        ],
    )
    def test_is_that_error_with_the_providers_sentence(self, ask, provider, status, code, retryable):
        if (provider, status) == (Provider.ANTHROPIC, "503"):
            status = "529"  # its own status for that
        failed = failure(ask, provider, f"[[sim:error={status}]]")
        assert (failed.code, failed.retryable) == (code, retryable)
        assert f"Simulated {status}." in failed.detail

    def test_is_a_used_up_quota_too(self, ask, provider):
        assert failure(ask, provider, "[[sim:error]]").code == "provider_quota"

    def test_that_says_nothing_of_its_kind_may_pass(self, provider):
        for body in ({"error": "upstream connect error"}, {"error": {"message": "upstream connect error"}}):
            with raw_server(answer(orjson.dumps(body))) as server:
                urls = ProviderUrls(server.url("/v1"), server.url("/v1"), server.url("/v1"))
                failed = failure(asker(urls), provider, "hello")
            assert (failed.code, failed.retryable) == ("provider_unavailable", True)
            assert "upstream connect error" in failed.detail

    def test_a_key_is_not_valid_because_its_refusal_came_with_a_200(self, provider):
        refusal = {
            Provider.OPENAI: {"error": {"code": "invalid_api_key", "message": "Incorrect API key provided."}},
            Provider.ANTHROPIC: {"type": "error", "error": {"type": "authentication_error", "message": "no"}},
            Provider.GOOGLE: {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}},
        }[provider]
        with raw_server(answer(orjson.dumps(refusal))) as server:
            urls = ProviderUrls(server.url("/v1"), server.url("/v1"), server.url("/v1"))
            assert Providers(urls).accepts(provider, KEY) is False


class TestARouter:
    """OpenAI's format as others speak it."""

    def test_reports_an_error_beside_a_partial_response(self, ask):
        failed = failure(ask, Provider.OPENAI, "[[sim:choice=502]]")
        assert (failed.code, failed.retryable, "Simulated 502." in failed.detail) == (
            "provider_unavailable",
            True,
            True,
        )

    def test_hides_the_sentence_that_says_something(self):
        raw = "big-model is temporarily rate-limited upstream. Please retry shortly."
        error = {"message": "Provider returned error", "code": 429, "metadata": {"raw": raw}}
        with raw_server(answer(orjson.dumps({"error": error}))) as server:
            failed = failure(asker(ProviderUrls(*[server.url("/v1")] * 3)), Provider.OPENAI, "hello")
        assert (failed.code, raw in failed.detail) == ("rate_limited", True)

    def test_may_say_that_there_was_no_error(self):
        body = {"error": None, "choices": [{"message": {"content": [{"type": "text", "text": "A"}]}, "error": None}]}
        with raw_server(answer(orjson.dumps(body))) as server:
            assert asker(ProviderUrls(*[server.url("/v1")] * 3))(Provider.OPENAI, "hello").text == "A"


@pytest.mark.parametrize("provider", ALL)
class TestAnAnswer:
    @pytest.mark.parametrize(
        ("directive", "words"),
        [("blank", "no text"), ("think", "nothing but its reasoning"), ("tool", "was not requested"), ("say= ", "")],
    )
    def test_without_text_is_a_failure_that_may_pass(self, ask, provider, directive, words):
        failed = failure(ask, provider, f"[[sim:{directive}]]")
        assert (failed.code, failed.retryable) == ("provider_empty_answer", True)
        assert words in failed.detail

    def test_without_text_because_of_its_length_is_the_nodes_own(self, ask, provider):
        assert failure(ask, provider, "[[sim:empty]]").code == "provider_length"

    def test_keeps_whole_characters_and_replaces_the_half_ones(self, ask, provider):
        assert ask(provider, "[[sim:emoji]]").text == "Half \ufffd an emoji,\ufffd and a whole one \U0001f600"

    def test_that_was_cut_in_mid_character_is_still_one(self, provider):
        bodies = {
            Provider.OPENAI: b'{"choices": [{"message": {"content": "cut \xf0\x9f\x98"}}]}',
            Provider.ANTHROPIC: b'{"content": [{"type": "text", "text": "cut \xf0\x9f\x98"}], "stop_reason": "x"}',
            Provider.GOOGLE: b'{"candidates": [{"content": {"parts": [{"text": "cut \xf0\x9f\x98"}]}}]}',
        }
        with raw_server(answer(bodies[provider])) as server:
            assert asker(ProviderUrls(*[server.url("/v1")] * 3))(provider, "hello").text == "cut \ufffd"
