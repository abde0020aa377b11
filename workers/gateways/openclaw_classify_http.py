"""What the gateway's HTTP answers mean: pure functions from status, headers and body to an answer or a `CallFailed`."""

from collections.abc import Mapping
from typing import Any

import orjson

from models.rules.effects import TextAnswer
from workers.gateways import openclaw_classify as classify
from workers.gateways.base import CallFailed
from workers.gateways.openclaw_classify import FAILOVER, Cause

UNKNOWN_PATH = Cause("openclaw_http_off", "OpenClaw's HTTP endpoint is not there or switched off.")
TYPES: Mapping[tuple[int, str], Cause] = {
    (401, "unauthorized"): classify.WRONG_TOKEN,
    (401, "authentication_error"): FAILOVER["auth"],
    (402, "insufficient_quota"): FAILOVER["billing"],
    (404, "invalid_request_error"): FAILOVER["model_not_found"],
    (429, "rate_limited"): classify.LOCKED_OUT,
    (429, "rate_limit_error"): FAILOVER["rate_limit"],
    (500, "api_error"): classify.COOLDOWN,
    (502, "api_error"): FAILOVER["server_error"],
}
STATUSES: Mapping[int, Cause] = {
    400: classify.REFUSED,
    401: classify.WRONG_TOKEN,
    403: classify.FORBIDDEN,
    404: UNKNOWN_PATH,
    405: UNKNOWN_PATH,
    413: classify.TOO_LARGE,
    503: classify.UNAVAILABLE,
}
ABORTED_MESSAGE = "agent run aborted"


def answer(body: bytes) -> TextAnswer:
    """Read a completion; raises `CallFailed` when it is none, also for errors sent with status 200."""
    try:
        completion = orjson.loads(body)
        if "error" in completion:
            raise failure(200, {}, body)
        text = completion["choices"][0]["message"]["content"]
    except (orjson.JSONDecodeError, LookupError, TypeError) as error:
        raise classify.UNREADABLE.failure() from error
    usage = completion.get("usage") or {}
    counts = {"input": usage.get("prompt_tokens"), "output": usage.get("completion_tokens")}
    counts["total"] = usage.get("total_tokens")
    return TextAnswer(str(text or ""), completion.get("model"), classify.usage_of(counts))


def failure(status: int, headers: Mapping[str, str], body: bytes) -> CallFailed:
    """Why there is no answer."""
    error = _error(body)
    kind, message = str(error.get("type") or error.get("code")), str(error.get("message") or "")
    if ABORTED_MESSAGE in message:
        return classify.ABORTED.failure()
    cause = TYPES.get((status, kind)) or STATUSES.get(status)
    if cause is None:
        cause = classify.TURN_FAILED if status >= 500 or status == 200 else classify.REFUSED
    if cause is STATUSES.get(404) and kind != "None":
        cause = classify.REFUSED
    quote = message if cause in (classify.REFUSED, classify.TURN_FAILED) else ""
    return cause.failure(retry_after=_retry_after(headers, cause.retry_after), quote=quote)


def _error(body: bytes) -> Mapping[str, Any]:
    try:
        error = orjson.loads(body).get("error")
    except (orjson.JSONDecodeError, AttributeError):
        return {}
    return error if isinstance(error, dict) else {}


def _retry_after(headers: Mapping[str, str], least: float | None) -> float | None:
    text = headers.get("Retry-After", "")
    after = float(text) if text.isdigit() else None
    return least if after is None or least is None else max(after, least)
