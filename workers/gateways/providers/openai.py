"""OpenAI's Chat Completions, which many other servers implement as well."""

import re
from collections.abc import Mapping

from models.rules.graph.effects import ModelCall, TextResult
from models.rules.prices.pricing import Provider
from models.serialization import Json
from workers.gateways.base import CallFailed
from workers.gateways.providers.base import (
    Format,
    Outgoing,
    ProviderRefusal,
    counted,
    is_out_of_money,
    no_text,
    refused_by,
    reported_error,
    seconds,
    status_in,
)


def _write(call: ModelCall, model: str, key: str) -> Outgoing:
    system = [{"role": "system", "content": call.system}] if call.system else []
    payload: dict[str, Json] = {"model": model, "messages": [*system, {"role": "user", "content": call.prompt}]}
    if call.max_tokens is not None:
        payload["max_completion_tokens"] = call.max_tokens  # reasoning models refuse the older max_tokens
    return Outgoing("/chat/completions", _headers(key), payload)


def _models(key: str) -> Outgoing:
    return Outgoing("/models", _headers(key))


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _read(body: Json) -> TextResult:
    choice = body["choices"][0]
    message, finish = choice["message"], choice.get("finish_reason")
    text = _text(message.get("content"))
    if finish == "content_filter" or message.get("refusal"):
        raise refused_by(Provider.OPENAI, message.get("refusal") or finish)
    if not text.strip():
        raise _nothing(message, finish)
    usage = body.get("usage") or {}
    return TextResult(
        text=text,
        model=body.get("model"),
        usage=counted(
            input_tokens=usage.get("prompt_tokens"),
            output_tokens=usage.get("completion_tokens"),
            total=usage.get("total_tokens"),
        ),
        finish="length" if finish == "length" else "stop",
    )


def _text(content: Json) -> str:
    """The text of a message; some servers send a list of parts, as newer formats do."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") in ("text", "output_text"))
    if not isinstance(content, str | None):
        raise TypeError("content is not text")
    return content or ""


def _nothing(message: Json, finish: Json) -> CallFailed:
    called = bool(message.get("tool_calls") or message.get("function_call"))
    thought = bool(message.get("reasoning_content") or message.get("reasoning"))
    return no_text(Provider.OPENAI, cut_off=finish == "length", called_a_tool=called, thought=thought)


def _refusal(body: Json, headers: Mapping[str, str]) -> ProviderRefusal:
    error = reported_error(body)
    message, words = _message(error), [error.get("code"), error.get("type")]
    wait = _wait(headers) or _said(message)
    return ProviderRefusal(_kind(words, message, wait), message, wait, status_in(error.get("code")))


def _message(error: Mapping[str, Json]) -> str:
    """The error's sentence; routers keep the provider's own one in `metadata.raw`, beside a generic one."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return str(raw if isinstance(raw, str) and raw else error.get("message") or "")


def _kind(words: list[Json], message: str, wait: float | None) -> str:
    """The most specific error word; a used-up quota is a 429 like a rate limit, but final."""
    lower = message.lower()
    over = "exceeded your current quota" in lower and wait is None and "retry in" not in lower
    if "insufficient_quota" in words or over or is_out_of_money(message):
        return "insufficient_quota"
    if lower.startswith("request too large for"):  # larger than a minute's limit, so waiting does not help
        return "context_length_exceeded"
    return next((word for word in words if isinstance(word, str) and word and not status_in(word)), "")


def _said(message: str) -> float | None:
    """Seconds in a sentence such as `Please try again in 1.2s.`; some servers name them nowhere else."""
    said = re.search(r"try again in ([\d.hms]{1,20})", message)
    return seconds(said[1].rstrip(".")) if said else None


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds until the used-up budget, of requests or of tokens, is renewed."""
    resets = [
        seconds(headers.get(f"x-ratelimit-reset-{budget}"))
        for budget in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{budget}") == "0"
    ]
    return max((reset for reset in resets if reset is not None), default=None)


FORMAT = Format(
    provider=Provider.OPENAI,
    write=_write,
    read=_read,
    refusal=_refusal,
    models=_models,
    codes={
        "insufficient_quota": "provider_quota",
        "billing_hard_limit_reached": "provider_quota",
        "billing_not_active": "provider_quota",
        "context_length_exceeded": "context_too_long",
        "model_not_found": "model_not_found",
        "invalid_api_key": "provider_key_rejected",
        "content_policy_violation": "provider_refused",
        "content_filter": "provider_refused",
        "invalid_prompt": "provider_refused",
    },
    statuses={
        "invalid_request_error": 400,
        "rate_limit_exceeded": 429,
        "tokens": 429,
        "requests": 429,
        "server_error": 500,
        "api_error": 500,
        "service_unavailable": 503,
        "overloaded_error": 503,
    },
)
