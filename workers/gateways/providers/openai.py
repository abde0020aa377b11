"""OpenAI's Chat Completions, which many other servers speak as well."""

import re
from collections.abc import Mapping

from models.rules.effects import ModelCall, TextAnswer
from models.rules.pricing import Provider
from workers.gateways.providers.base import Format, Json, Outgoing, Refusal, counted, nothing_said, refused_by, seconds


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


def _read(body: Json) -> TextAnswer:
    choice = body["choices"][0]
    message, finish = choice["message"], choice.get("finish_reason")
    text = message.get("content")
    if finish == "content_filter" or message.get("refusal"):
        raise refused_by(Provider.OPENAI, message.get("refusal") or finish)
    if not text and finish == "length":
        raise nothing_said(Provider.OPENAI)
    usage = body.get("usage") or {}
    return TextAnswer(
        text=_string(text),
        model=body.get("model"),
        usage=counted(
            input_tokens=usage.get("prompt_tokens"),
            output_tokens=usage.get("completion_tokens"),
            total=usage.get("total_tokens"),
        ),
        finish="length" if finish == "length" else "stop",
    )


def _string(text: Json) -> str:
    if not isinstance(text, str):
        raise TypeError("content is not text")
    return text


def _refusal(body: Json, headers: Mapping[str, str]) -> Refusal:
    error = body.get("error") if isinstance(body, dict) else None
    found = error if isinstance(error, dict) else {}
    message = str(found.get("message") or "")
    return Refusal(str(found.get("code") or found.get("type") or ""), message, _wait(headers) or _said(message))


def _said(message: str) -> float | None:
    """What `Please try again in 1.2s.` means; some servers say it nowhere else."""
    said = re.search(r"try again in ([\d.hms]{1,20})", message)
    return seconds(said[1].rstrip(".")) if said else None


def _wait(headers: Mapping[str, str]) -> float | None:
    """Of the two budgets, the one that is used up says when it is full again."""
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
        "context_length_exceeded": "context_too_long",
        "model_not_found": "model_not_found",
        "invalid_api_key": "provider_key_rejected",
        "content_policy_violation": "provider_refused",
    },
)
