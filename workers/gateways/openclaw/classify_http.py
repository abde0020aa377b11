"""Classification of the gateway's HTTP responses: from status, headers and body to a result or an error."""

from collections.abc import Mapping
from typing import Any

from models.rules.graph.effects import TextResult
from models.rules.values.json_values import read_json
from workers.gateways.base import CallFailed
from workers.gateways.openclaw import classify
from workers.gateways.openclaw.classify import FAILOVER, Cause

UNKNOWN_PATH = Cause("openclaw_http_off", "OpenClaw's HTTP endpoint does not exist or is switched off.")
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
# Causes of errors that come with a 200, by their type alone.
BEHIND_A_200: Mapping[str, Cause] = {
    kind: cause for (_, kind), cause in TYPES.items() if kind not in ("api_error", "invalid_request_error")
} | {"invalid_request_error": classify.REFUSED}
STATUSES: Mapping[int, Cause] = {
    400: classify.REFUSED,
    401: classify.WRONG_TOKEN,
    403: classify.FORBIDDEN,
    404: UNKNOWN_PATH,
    405: UNKNOWN_PATH,
    413: classify.TOO_LARGE,
    503: classify.UNAVAILABLE,
}
MODEL = "openclaw/"  # before the id of an agent
ABORTED_MESSAGE = "agent run aborted"


def answer(body: bytes) -> TextResult:
    """Read a completion; raises `CallFailed` when it is malformed or an error sent with status 200."""
    try:
        completion = read_json(body)
        if completion.get("error"):
            raise failure(200, {}, body)
        text = completion["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise classify.UNREADABLE.failure() from error
    if not str(text or "").strip():
        raise FAILOVER["empty_response"].failure()
    usage = completion.get("usage") or {}
    counts = {"input": usage.get("prompt_tokens"), "output": usage.get("completion_tokens")}
    counts["total"] = usage.get("total_tokens")
    return TextResult(str(text), completion.get("model"), classify.usage_of(counts))


def agents_in(body: bytes) -> frozenset[str]:
    """The ids in the response of `/v1/models`, which lists agents; raises `CallFailed` when it is malformed."""
    try:
        listed = [str(item["id"]) for item in read_json(body)["data"]]
    except (ValueError, LookupError, TypeError) as error:
        raise classify.UNREADABLE.failure() from error
    return frozenset(name.removeprefix(MODEL).lower() for name in listed if name.startswith(MODEL))


def failure(status: int, headers: Mapping[str, str], body: bytes) -> CallFailed:
    """The error for a response that is not a completion."""
    error = _error(body)
    kind, message = str(error.get("type") or error.get("code")), str(error.get("message") or "")
    if ABORTED_MESSAGE in message:
        return classify.ABORTED.failure()
    cause = BEHIND_A_200.get(kind) if status == 200 else TYPES.get((status, kind)) or STATUSES.get(status)
    if cause is None:
        cause = classify.TURN_FAILED if status >= 500 or status == 200 else classify.REFUSED
    if cause is STATUSES.get(404) and kind != "None":
        cause = classify.REFUSED
    if cause is classify.REFUSED:
        cause = classify.refused(message)
    quote = "" if cause in (classify.WRONG_TOKEN, classify.LOCKED_OUT) else message
    return cause.failure(retry_after=_retry_after(headers, cause.retry_after), quote=quote)


def _error(body: bytes) -> Mapping[str, Any]:
    try:
        error = read_json(body).get("error")
    except (ValueError, AttributeError):
        return {}
    return error if isinstance(error, dict) else {}


def _retry_after(headers: Mapping[str, str], least: float | None) -> float | None:
    text = headers.get("Retry-After", "")
    after = float(text) if text.isdigit() else None
    return least if after is None or least is None else max(after, least)
