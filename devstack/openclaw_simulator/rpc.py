"""The methods that a connection may call."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from devstack.openclaw_simulator import runs
from devstack.openclaw_simulator.ledger import now_ms

if TYPE_CHECKING:
    from devstack.openclaw_simulator.sockets import Socket

Payload = dict[str, Any]
ABORT_SECONDS = 0.02
RESET_COMMAND = re.compile(r"/(new|reset)(\s|$)", re.I)
AGENT_FIELDS = {
    "message",
    "idempotencyKey",
    "agentId",
    "sessionKey",
    "deliver",
    "timeout",
    "extraSystemPrompt",
    "modelRun",
} | {"promptMode", "provider", "model", "thinking", "attachments", "cwd", "label", "lane"}


class Refusal(Exception):
    """An error response; `close` also ends the connection with that code."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        details: Payload | None = None,
        retry_after_ms: int | None = None,
        close: int | None = None,
    ) -> None:
        super().__init__(message)
        self.close = close
        self.error: Payload = {"code": code, "message": message}
        if details:
            self.error["details"] = details
        if retry_after_ms is not None:
            self.error.update({"retryable": True, "retryAfterMs": retry_after_ms})


async def agent(socket: "Socket", request_id: str, params: Payload) -> Payload | None:
    """Accept a run, or replay one: the second response of a replay never comes while the run lives."""
    gateway = socket.gateway
    _check(socket, params)
    key = params["idempotencyKey"]
    known = gateway.known(key)
    if known is not None:
        return _replay(socket, request_id, known)
    if gateway.draining:
        details = {"reason": "gateway-restarting"}
        raise Refusal("UNAVAILABLE", "gateway restarting", details=details, retry_after_ms=1000)
    ledgered = not params.get("modelRun")
    session_key = params["sessionKey"] if ledgered else f"model-run:{key}"
    run = gateway.make_run(
        key,
        session_key,
        params["message"],
        params.get("extraSystemPrompt") or "",
        float(params.get("timeout") or 172_800),
        ledgered=ledgered,
    )
    run.owners = tuple(owner for owner in (socket.nonce, socket.device) if owner)
    _refusals(socket, run)
    await asyncio.sleep(run.directives.number("slow-accept", 0.0))
    gateway.remember(key, run)
    accepted = {"runId": key, "sessionKey": session_key, "agentId": params["agentId"], "status": "accepted"}
    socket.respond(request_id, True, {**accepted, "acceptedAt": now_ms()})
    trouble = _trouble(socket, run)
    if trouble:
        run.response = (False, {"code": "UNAVAILABLE", "message": trouble})
        run.waited = {"runId": key, "status": "error", "error": trouble, "endedAt": now_ms()}
        run.done.set()
        socket.respond(request_id, *run.response)
    else:
        gateway.start(run, (socket, request_id))
    return None


def _replay(socket: "Socket", request_id: str, run: runs.Run) -> Payload | None:
    if run.response is not None and socket.gateway.now() >= run.replayable_at:
        socket.respond(request_id, *run.response)
        return None
    return {"runId": run.id, "sessionKey": run.session_key, "status": "in_flight"}


def _trouble(socket: "Socket", run: runs.Run) -> str | None:
    """Failures right after acceptance, without any call of a model."""
    gateway = socket.gateway
    if run.session_key in gateway.interrupted or run.directives.has("session-changed"):
        return f"Session {run.session_key} changed while starting work. Retry."
    if gateway.ledger.knows_user(run.session_key, run.id):
        return "keyed user is outside the current turn"
    if run.directives.has("cooldown") or gateway.now() < gateway.cooling_until:
        return "Provider simulator is temporarily disabled after an authentication failure."
    return None


def _refusals(socket: "Socket", run: runs.Run) -> None:
    if run.directives.has("refuse"):
        raise Refusal("UNAVAILABLE", "gateway busy", details={"reason": "admission"}, retry_after_ms=100)
    if run.directives.has("forbid"):
        raise Refusal("FORBIDDEN", "not allowed for this caller")


def _check(socket: "Socket", params: Payload) -> None:
    for name in ("message", "idempotencyKey"):
        if not isinstance(params.get(name), str) or not params[name]:
            raise Refusal("INVALID_REQUEST", f"invalid agent params: must have required property '{name}'")
    if RESET_COMMAND.match(params["message"].strip()) and "operator.admin" not in socket.scopes:
        raise Refusal("FORBIDDEN", "missing scope: operator.admin", details={"code": "MISSING_SCOPE"})
    unknown = set(params) - AGENT_FIELDS
    if unknown:
        raise Refusal("INVALID_REQUEST", f"invalid agent params: unexpected property '{min(unknown)}'")
    if params.get("provider") or params.get("model"):
        raise Refusal("INVALID_REQUEST", "provider/model overrides are not authorized for this caller.")
    if params.get("promptMode") == "none" and not params.get("modelRun"):
        raise Refusal("INVALID_REQUEST", "promptMode none requires modelRun")
    if params.get("agentId") not in socket.gateway.options.agents:
        raise Refusal("INVALID_REQUEST", f'invalid agent params: unknown agent id "{params.get("agentId")}"')
    session_key = str(params.get("sessionKey") or "")
    if len(session_key) > 512:
        raise Refusal("INVALID_REQUEST", "invalid agent params: at /sessionKey: too long")
    if not params.get("modelRun") and not session_key.startswith(f"agent:{params['agentId']}:"):
        raise Refusal("INVALID_REQUEST", "session key does not belong to the agent")


async def wait(socket: "Socket", request_id: str, params: Payload) -> Payload:
    """A bare timeout says "not yet" and "never heard of it" with the same words."""
    run = socket.gateway.runs.get(str(params.get("runId")))
    bare = {"runId": params.get("runId"), "status": "timeout"}
    seconds = float(params.get("timeoutMs", 30_000)) / 1000
    if run is None:
        await asyncio.sleep(seconds)
        return bare
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await run.done.wait()
    return run.waited or bare


async def abort(socket: "Socket", request_id: str, params: Payload) -> Payload:
    """Stop what runs in a session. What the gateway is only about to start, it starts all the same."""
    await asyncio.sleep(ABORT_SECONDS)
    active = socket.gateway.active_in(str(params.get("key")), params.get("runId"))
    asker = {socket.nonce, socket.device}
    if "operator.admin" not in socket.scopes and any(run.owners and not asker & set(run.owners) for run in active):
        raise Refusal("INVALID_REQUEST", "unauthorized")
    for run in active:
        await runs.stop(run)
    if not active:
        return {"ok": True, "abortedRunId": None, "status": "no-active-run"}
    return {"ok": True, "abortedRunId": active[0].id, "status": "aborted"}


async def tasks(socket: "Socket", request_id: str, params: Payload) -> Payload:
    return {"tasks": socket.gateway.ledger.of_session(params.get("sessionKey"))}


async def history(socket: "Socket", request_id: str, params: Payload) -> Payload:
    session_key = str(params.get("sessionKey"))
    return {"sessionKey": session_key, "messages": socket.gateway.ledger.history.get(session_key, [])}


async def health(socket: "Socket", request_id: str, params: Payload) -> Payload:
    return {"ok": True}


Method = Callable[["Socket", str, Payload], Awaitable[Payload | None]]
METHODS: dict[str, tuple[str, Method]] = {
    "agent": ("operator.write", agent),
    "agent.wait": ("operator.write", wait),
    "sessions.abort": ("operator.write", abort),
    "tasks.list": ("operator.read", tasks),
    "chat.history": ("operator.read", history),
    "health": ("operator.read", health),
}
