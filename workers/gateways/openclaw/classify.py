"""Classification of the gateway's responses: pure functions from frames to a result or a `CallFailed`.

The gateway reports ends inconsistently (an abort as ok, a model failure always as UNAVAILABLE), so every outcome is
decided here, by the first rule that matches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.rules.graph.effects import TextResult
from workers.gateways.base import CallFailed

Frame = Mapping[str, Any]
LOCKOUT_SECONDS = 300.0
COOLDOWN_SECONDS = 60.0
MAX_QUOTE = 300


@dataclass(frozen=True)
class Cause:
    """One row of the table of failures; `retry_after` None means never."""

    code: str
    sentence: str
    retry_after: float | None = None
    outcome: str = "failed"
    sent: bool = True  # False if it occurs before the request is sent

    def failure(self, *, retry_after: float | None = None, quote: str = "") -> CallFailed:
        """Build the error; `retry_after` (seconds) overrides the table's, `quote` is appended to the sentence."""
        after = self.retry_after if self.retry_after is None or retry_after is None else retry_after
        sentence = f"{self.sentence} ({quote[:MAX_QUOTE]})" if quote else self.sentence
        return CallFailed(
            self.code, sentence, retryable=after is not None, retry_after=after, outcome=self.outcome, sent=self.sent
        )


CANCELLED = Cause("cancelled", "The turn was cancelled.", outcome="cancelled")
ABORTED = Cause("openclaw_aborted", "This turn was stopped in OpenClaw.", outcome="cancelled")
TIMEOUT = Cause("openclaw_timeout", "The agent did not finish in time.", 5.0, outcome="timeout")
NO_SLOT = Cause(
    "openclaw_busy", "No slot became free in time; nothing was sent to OpenClaw.", 5.0, "timeout", sent=False
)
UNCONFIRMED = Cause(
    "openclaw_abort_unconfirmed", "OpenClaw did not confirm that it stopped the turn.", 5.0, outcome="unknown"
)
LOST = Cause(
    "openclaw_connection_lost", "The connection to OpenClaw was lost and the turn's outcome is unknown.", 5.0, "unknown"
)
RESTARTED = Cause("openclaw_restarted", "OpenClaw restarted and broke off the turn.", 5.0, "unknown")
RUN_FORGOTTEN = Cause("openclaw_forgotten", "OpenClaw restarted and has no record of the turn.", 5.0, "unknown")
UNREADABLE = Cause(
    "openclaw_unreadable", "OpenClaw's response is not valid, so the turn's outcome is unknown.", 5.0, "unknown"
)
UNREACHABLE = Cause("openclaw_unreachable", "OpenClaw cannot be reached; nothing was sent.", 5.0, sent=False)
CLOSED = Cause("openclaw_closed", "This worker is shutting down; nothing was sent.", 1.0, sent=False)
UNAVAILABLE = Cause("openclaw_unavailable", "OpenClaw takes no new turns at the moment.", 5.0)
TURN_FAILED = Cause("openclaw_failed", "OpenClaw could not finish the turn.", 15.0)
COOLDOWN = Cause(
    "openclaw_provider_cooldown", "OpenClaw has switched the model's provider off for a minute.", COOLDOWN_SECONDS
)
TOO_LARGE = Cause("openclaw_too_large", "The prompt is larger than OpenClaw accepts.")
NOT_TEXT = Cause("openclaw_not_text", "The prompt holds characters that are not text.", sent=False)
WRONG_AGENT = Cause("openclaw_agent_not_allowed", "The agent that the node names is not offered here.", sent=False)
UNKNOWN_AGENT = Cause(WRONG_AGENT.code, "OpenClaw does not have the agent that the node names.")
WRONG_URL = Cause("openclaw_wrong_url", "OPENCLAW_URL is not an address of OpenClaw.", sent=False)
REFUSED = Cause("openclaw_refused", "OpenClaw refuses the request.")
UNWELCOME = Cause("openclaw_connect_refused", "OpenClaw refuses our connection.")
FORBIDDEN = Cause("openclaw_forbidden", "OpenClaw does not allow this to our connection.")
WRONG_TOKEN = Cause("openclaw_wrong_token", "OpenClaw does not accept our token; correct OPENCLAW_TOKEN.")
LOCKED_OUT = Cause(
    "openclaw_locked_out", "OpenClaw refuses us for a while after too many wrong tokens.", LOCKOUT_SECONDS
)
NO_SCOPES = Cause(
    "openclaw_no_scopes",
    "OpenClaw is remote and grants nothing to a token alone; set OPENCLAW_DEVICE_KEY and approve the device.",
)

CONNECT: Mapping[str, Cause] = {
    "AUTH_TOKEN_MISMATCH": WRONG_TOKEN,
    "AUTH_TOKEN_MISSING": WRONG_TOKEN,
    "AUTH_RATE_LIMITED": LOCKED_OUT,
    "DEVICE_IDENTITY_REQUIRED": Cause(
        "openclaw_no_identity", "OpenClaw wants a token or a device; set OPENCLAW_TOKEN or OPENCLAW_DEVICE_KEY."
    ),
    "PAIRING_REQUIRED": Cause(
        "openclaw_not_paired", "This device is not approved; run `openclaw devices approve` on the gateway's host."
    ),
    "PROTOCOL_MISMATCH": Cause("openclaw_wrong_version", "OpenClaw speaks another version of the protocol than 4."),
    "MISSING_SCOPE": NO_SCOPES,
}

FAILOVER: Mapping[str, Cause] = {
    "rate_limit": Cause(
        "openclaw_rate_limited", "The model's provider limits calls, and OpenClaw gave up waiting.", 30.0
    ),
    "overloaded": Cause("openclaw_overloaded", "The model's provider is overloaded.", 30.0),
    "server_error": Cause("openclaw_provider_error", "The model's provider failed.", 30.0),
    "timeout": Cause("openclaw_provider_timeout", "The model's provider did not respond in time.", 10.0, "timeout"),
    "empty_response": Cause("openclaw_empty_response", "The model returned nothing.", 5.0),
    "no_error_details": Cause("openclaw_provider_error", "The model's provider failed without a reason.", 15.0),
    "auth": Cause("openclaw_provider_auth", "The model's provider does not accept OpenClaw's key."),
    "auth_permanent": Cause("openclaw_provider_auth", "The model's provider does not accept OpenClaw's key."),
    "billing": Cause("openclaw_provider_billing", "OpenClaw's account at the model's provider cannot pay."),
    "format": Cause("openclaw_bad_request", "The model's provider does not understand the request."),
    "model_not_found": Cause("openclaw_model_not_found", "The model's provider does not know the model."),
    "context_overflow": Cause("openclaw_context_overflow", "The prompt is too long for the model."),
}

PHRASES: tuple[tuple[str, Cause], ...] = (
    ("temporarily disabled", COOLDOWN),
    (
        "changed while starting work",
        Cause("openclaw_session_busy", "The turn's session changed while it started.", 2.0),
    ),
    ("draining", Cause("openclaw_restarting", "OpenClaw is about to restart.", 5.0)),
)
NO_SUCH_AGENT = "unknown agent"  # part of the gateway's sentence; it has no error code for this
LEDGER_KNOWS = ("keyed user is outside the current turn", "changed while starting work")


def connect_failure(error: Frame) -> CallFailed:
    """The error for a refused connection; only a busy or locked gateway is worth a retry."""
    failure = _connect_failure(error)
    failure.sent = False
    return failure


def _connect_failure(error: Frame) -> CallFailed:
    details = _mapping(error.get("details"))
    cause = CONNECT.get(str(details.get("code")))
    if cause is not None:
        return cause.failure(retry_after=_at_least(error, cause.retry_after))
    if error.get("retryable") is True:
        return UNAVAILABLE.failure(retry_after=_seconds(error))
    return UNWELCOME.failure(quote=_text(error.get("message")))


def refusal(error: Frame) -> CallFailed:
    """The error for a request that was refused before the turn was accepted: nothing has run."""
    if error.get("retryable") is True:
        return UNAVAILABLE.failure(retry_after=_seconds(error))
    if error.get("code") == "FORBIDDEN":
        return FORBIDDEN.failure(quote=_text(error.get("message")))
    if error.get("code") in ("INVALID_REQUEST", "NOT_PAIRED"):
        message = _text(error.get("message"))
        return refused(message).failure(quote=message)
    return turn_failure(error, None)


def refused(message: str) -> Cause:
    """The cause of a refusal, by its sentence."""
    return UNKNOWN_AGENT if NO_SUCH_AGENT in message.lower() else REFUSED


def agents_in(payload: Frame) -> frozenset[str]:
    """The ids in the response to `agents.list`; raises `CallFailed` when it is malformed."""
    listed = payload.get("agents")
    if not isinstance(listed, list):
        raise UNREADABLE.failure()
    return frozenset(str(item["id"]).lower() for item in listed if isinstance(item, Mapping) and item.get("id"))


def is_not_yet(error: Frame) -> bool:
    """Whether the gateway says that the same request may be repeated later."""
    return error.get("retryable") is True


def ledger_knows(error: Frame) -> bool:
    """Whether a repeat was refused because the gateway handled this key before it restarted."""
    message = _text(error.get("message"))
    return any(phrase in message for phrase in LEDGER_KNOWS)


def turn_failure(error: Frame, detail: Frame | None, *, asked: bool = False) -> CallFailed:
    """The error of an accepted turn; `detail` is the event's errorDetail, the only machine-readable cause."""
    message = _text(error.get("message"))
    if asked and ("authority is no longer active" in message or "aborted" in message):
        return CANCELLED.failure()
    if "authority is no longer active" in message:
        return ABORTED.failure()
    if error.get("code") in ("INVALID_REQUEST", "FORBIDDEN", "NOT_PAIRED"):
        return REFUSED.failure(quote=message)
    cause = _provider_cause(detail)
    if cause is not None:
        return cause.failure(quote=message)
    for phrase, known in PHRASES:
        if phrase in message:
            return known.failure()
    return TURN_FAILED.failure(retry_after=_at_least(error, TURN_FAILED.retry_after), quote=message)


def _provider_cause(detail: Frame | None) -> Cause | None:
    if not detail:
        return None
    if detail.get("providerRuntimeFailureKind") == "model_not_found":
        return FAILOVER["model_not_found"]
    return FAILOVER.get(str(detail.get("failoverReason")))


def final_answer(payload: Frame, detail: Frame | None, *, asked: bool = False) -> TextResult:
    """Read the second response of an accepted turn; raises `CallFailed` for every end without an answer."""
    status = payload.get("status")
    result = _mapping(payload.get("result"))
    meta = _mapping(result.get("meta"))
    stop = payload.get("stopReason") or meta.get("stopReason")
    if status == "timeout":
        raise _timeout(payload, stop, asked=asked).failure()
    if status == "error":
        message = _text(payload.get("error") or payload.get("summary"))
        raise turn_failure({"message": message}, detail, asked=asked)
    if status != "ok":
        raise UNREADABLE.failure()
    return _spoken(result, meta)


def _timeout(payload: Frame, stop: object, *, asked: bool) -> Cause:
    """The cause of a `timeout` status: aborts have it too, and deadlines may carry the summary "aborted"."""
    if stop == "rpc":
        return CANCELLED if asked else ABORTED
    if _ended(payload):
        return TIMEOUT
    return (CANCELLED if asked else ABORTED) if payload.get("summary") == "aborted" else UNREADABLE


def _spoken(result: Frame, meta: Frame) -> TextResult:
    payloads = [_mapping(item) for item in result.get("payloads") or ()]
    said = [item for item in payloads if not item.get("isError") and not item.get("isReasoning")]
    if payloads and not said and any(item.get("isError") for item in payloads):
        kind = _mapping(meta.get("error")).get("kind")
        raise turn_failure({"message": _text(payloads[0].get("text"))}, {"failoverReason": kind})
    agent = _mapping(meta.get("agentMeta"))
    text = "\n\n".join(text for text in (_text(item.get("text")) for item in said) if text)
    if not text.strip():
        thought = any(item.get("isReasoning") for item in payloads)
        raise FAILOVER["empty_response"].failure(quote="nothing but its reasoning" if thought else "")
    return TextResult(
        text=text,
        model=_model(agent),
        usage=usage_of(_mapping(agent.get("usage"))),
    )


def usage_of(counts: Frame) -> dict[str, int]:
    """Token counts as `{input, output, total}`; values that are not numbers are left out."""
    named = {**counts, "total": counts.get("total", counts.get("totalTokens"))}
    return {name: int(named[name]) for name in ("input", "output", "total") if isinstance(named.get(name), int | float)}


def _model(agent: Frame) -> str | None:
    parts = [str(agent[name]) for name in ("provider", "model") if agent.get(name)]
    return "/".join(parts) or None


def wait_has_ended(payload: Frame) -> bool:
    """Whether `agent.wait` reports an end; a bare timeout means that the run goes on or is unknown."""
    return payload.get("status") != "timeout" or _ended(payload) or payload.get("stopReason") is not None


def _ended(payload: Frame) -> bool:
    return any(payload.get(name) is not None for name in ("endedAt", "timeoutPhase"))


def _seconds(error: Frame) -> float | None:
    after = error.get("retryAfterMs", _mapping(error.get("details")).get("retryAfterMs"))
    return float(after) / 1000 if isinstance(after, int | float) and after >= 0 else None


def _at_least(error: Frame, least: float | None) -> float | None:
    after = _seconds(error)
    return least if after is None or least is None else max(after, least)


def _mapping(value: object) -> Frame:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
