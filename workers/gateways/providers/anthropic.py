"""Anthropic's Messages."""

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
)

API_VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 8192  # the API demands a number; thinking counts towards it


def _write(call: ModelCall, model: str, key: str) -> Outgoing:
    payload: dict[str, Json] = {
        "model": model,
        "max_tokens": call.max_tokens if call.max_tokens is not None else DEFAULT_MAX_TOKENS,
        "messages": [{"role": "user", "content": call.prompt}],
    }
    if call.system:
        payload["system"] = call.system
    return Outgoing("/messages", _headers(key), payload)


def _models(key: str) -> Outgoing:
    return Outgoing("/models?limit=1", _headers(key))


def _headers(key: str) -> dict[str, str]:
    return {"x-api-key": key, "anthropic-version": API_VERSION}


def _read(body: Json) -> TextResult:
    stop = body["stop_reason"]
    text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
    if stop == "refusal":
        raise refused_by(Provider.ANTHROPIC, stop)
    cut_off = stop in ("max_tokens", "model_context_window_exceeded")
    if not text.strip():
        raise _nothing(body["content"], cut_off=cut_off)
    usage = body.get("usage") or {}
    return TextResult(
        text=text,
        model=body.get("model"),
        usage=counted(input_tokens=usage.get("input_tokens"), output_tokens=usage.get("output_tokens")),
        finish="length" if cut_off else "stop",
    )


def _nothing(blocks: Json, *, cut_off: bool) -> CallFailed:
    kinds = {block["type"] for block in blocks}
    called = any("tool_use" in kind for kind in kinds)
    thought = not kinds.isdisjoint({"thinking", "redacted_thinking"})
    return no_text(Provider.ANTHROPIC, cut_off=cut_off, called_a_tool=called, thought=thought)


def _refusal(body: Json, headers: Mapping[str, str]) -> ProviderRefusal:
    error = reported_error(body)
    kind, message = str(error.get("type") or ""), str(error.get("message") or "")
    if is_out_of_money(message):
        kind = "billing_error"
    if kind == "invalid_request_error" and "prompt is too long" in message.lower():
        kind = "request_too_large"
    return ProviderRefusal(kind, message)


FORMAT = Format(
    provider=Provider.ANTHROPIC,
    write=_write,
    read=_read,
    refusal=_refusal,
    models=_models,
    codes={
        "billing_error": "provider_quota",
        "request_too_large": "context_too_long",
        "overloaded_error": "provider_overloaded",
        "authentication_error": "provider_key_rejected",
        "not_found_error": "model_not_found",
    },
    statuses={
        "invalid_request_error": 400,
        "permission_error": 403,
        "rate_limit_error": 429,
        "api_error": 500,
        "timeout_error": 504,
    },
)
