"""Google's Gemini generateContent; the key travels in a header, never in the URL."""

from collections.abc import Mapping
from urllib.parse import quote

from models.rules.effects import ModelCall, TextAnswer
from models.rules.pricing import Provider
from workers.gateways.providers.base import Format, Json, Outgoing, Refusal, counted, nothing_said, refused_by, seconds


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


def _read(body: Json) -> TextAnswer:
    blocked = (body.get("promptFeedback") or {}).get("blockReason")
    if blocked:
        raise refused_by(Provider.GOOGLE, blocked)
    candidate = body["candidates"][0]
    finish = candidate.get("finishReason", "STOP")
    parts = (candidate.get("content") or {}).get("parts") or []
    text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
    if finish not in ("STOP", "MAX_TOKENS"):  # SAFETY, RECITATION, BLOCKLIST, PROHIBITED_CONTENT, SPII and more
        raise refused_by(Provider.GOOGLE, finish)
    if not text and finish == "MAX_TOKENS":
        raise nothing_said(Provider.GOOGLE)
    if not parts:
        raise KeyError("parts")
    return TextAnswer(
        text=text,
        model=body.get("modelVersion"),
        usage=_usage(body.get("usageMetadata") or {}),
        finish="length" if finish == "MAX_TOKENS" else "stop",
    )


def _usage(usage: Json) -> dict[str, int]:
    said = sum(int(usage.get(count) or 0) for count in ("candidatesTokenCount", "thoughtsTokenCount"))
    return counted(input_tokens=usage.get("promptTokenCount"), output_tokens=said, total=usage.get("totalTokenCount"))


def _refusal(body: Json, headers: Mapping[str, str]) -> Refusal:
    found = body[0] if isinstance(body, list) and body else body
    error = found.get("error") if isinstance(found, dict) else None
    error = error if isinstance(error, dict) else {}
    details = [detail for detail in error.get("details") or [] if isinstance(detail, dict)]
    wait = next((seconds(detail["retryDelay"]) for detail in details if "retryDelay" in detail), None)
    return Refusal(_kind(error, details), str(error.get("message") or ""), wait)


def _kind(error: Json, details: list[Json]) -> str:
    """The most telling word: the reason of the details, a used-up daily quota, or else the status."""
    reasons = {detail.get("reason") for detail in details}
    quotas = [str(quota) for detail in details for quota in detail.get("violations") or []]
    message = str(error.get("message") or "").lower()
    if "API_KEY_INVALID" in reasons or "api key not valid" in message:
        return "API_KEY_INVALID"
    if any("PerDay" in quota for quota in quotas):
        return "DAILY_QUOTA"
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
        "DAILY_QUOTA": "provider_quota",
        "INPUT_TOO_LONG": "context_too_long",
        "NOT_FOUND": "model_not_found",
    },
)
