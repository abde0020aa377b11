"""Google's Gemini generateContent; the key is sent in a header, never in the URL."""

import re
from collections.abc import Mapping
from urllib.parse import quote

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

# Finish reasons that are the model's fault, not the prompt's.
UNUSABLE = (
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MALFORMED_RESPONSE",
    "OTHER",
    "FINISH_REASON_UNSPECIFIED",
)
_NO_LIMIT = re.compile(r"limit: 0(?!\d|\.)")  # this model is not part of the account's plan


def _write(call: ModelCall, model: str, key: str) -> Outgoing:
    payload: dict[str, Json] = {"contents": [{"role": "user", "parts": [{"text": call.prompt}]}]}
    if call.system:
        payload["systemInstruction"] = {"parts": [{"text": call.system}]}
    if call.max_tokens is not None:
        payload["generationConfig"] = {"maxOutputTokens": call.max_tokens}
    name = quote(model.removeprefix("models/"), safe="")
    return Outgoing(f"/models/{name}:generateContent", _headers(key), payload)


def _models(key: str) -> Outgoing:
    return Outgoing("/models?pageSize=1", _headers(key))


def _headers(key: str) -> dict[str, str]:
    return {"x-goog-api-key": key}


def _read(body: Json) -> TextResult:
    blocked = (body.get("promptFeedback") or {}).get("blockReason")
    if blocked:
        raise refused_by(Provider.GOOGLE, blocked)
    candidate = body["candidates"][0]
    finish = candidate.get("finishReason", "STOP")
    parts = (candidate.get("content") or {}).get("parts") or []
    text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
    if finish not in ("STOP", "MAX_TOKENS", *UNUSABLE):  # SAFETY, RECITATION, BLOCKLIST, SPII and more
        raise refused_by(Provider.GOOGLE, finish)
    if finish in UNUSABLE or not text.strip():
        raise _nothing(parts, finish)
    return TextResult(
        text=text,
        model=body.get("modelVersion"),
        usage=_usage(body.get("usageMetadata") or {}),
        finish="length" if finish == "MAX_TOKENS" else "stop",
    )


def _nothing(parts: Json, finish: str) -> CallFailed:
    called = "CALL" in finish or any("functionCall" in part for part in parts)
    return no_text(Provider.GOOGLE, cut_off=finish == "MAX_TOKENS", called_a_tool=called, thought=bool(parts))


def _usage(usage: Json) -> dict[str, int]:
    said = sum(int(usage.get(count) or 0) for count in ("candidatesTokenCount", "thoughtsTokenCount"))
    return counted(input_tokens=usage.get("promptTokenCount"), output_tokens=said, total=usage.get("totalTokenCount"))


def _refusal(body: Json, headers: Mapping[str, str]) -> ProviderRefusal:
    error = reported_error(body)
    details = [detail for detail in error.get("details") or [] if isinstance(detail, dict)]
    wait = next((seconds(detail["retryDelay"]) for detail in details if "retryDelay" in detail), None)
    return ProviderRefusal(_kind(error, details), str(error.get("message") or ""), wait, status_in(error.get("code")))


def _kind(error: Json, details: list[Json]) -> str:
    """The most specific error word: the details' reason, a quota that does not renew within minutes, or the status."""
    reasons = {str(detail.get("reason")) for detail in details}
    quotas = [str(quota) for detail in details for quota in detail.get("violations") or []]
    message = str(error.get("message") or "").lower()
    if "API_KEY_INVALID" in reasons or "api key not valid" in message:
        return "API_KEY_INVALID"
    if any("PerDay" in quota or "'quotaValue': '0'" in quota for quota in quotas) or _NO_LIMIT.search(message):
        return "NO_QUOTA"
    if "BILLING_DISABLED" in reasons or is_out_of_money(message):
        return "NO_QUOTA"
    if "token count" in message and "exceeds" in message:
        return "INPUT_TOO_LONG"
    return str(error.get("status") or "")


FORMAT = Format(
    provider=Provider.GOOGLE,
    write=_write,
    read=_read,
    refusal=_refusal,
    models=_models,
    codes={
        "API_KEY_INVALID": "provider_key_rejected",
        "NO_QUOTA": "provider_quota",
        "INPUT_TOO_LONG": "context_too_long",
        "NOT_FOUND": "model_not_found",
    },
    statuses={
        "INVALID_ARGUMENT": 400,
        "FAILED_PRECONDITION": 400,
        "UNAUTHENTICATED": 401,
        "PERMISSION_DENIED": 403,
        "RESOURCE_EXHAUSTED": 429,
        "INTERNAL": 500,
        "UNAVAILABLE": 503,
        "DEADLINE_EXCEEDED": 504,
    },
)
