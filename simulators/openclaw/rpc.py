"""The RPC methods of the gateway."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable

from simulators.openclaw.connection import SocketConnection
from simulators.openclaw.gateway import Gateway
from simulators.openclaw.run import Run
from simulators.openclaw.runner import start
from simulators.openclaw.wire import Payload, now_ms

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


class RpcError(Exception):
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


async def agent(gateway: Gateway, connection: SocketConnection, request_id: str, params: Payload) -> Payload | None:
    """Accept a run, or replay one; while the run is active a replay gets no second response."""
    _check(gateway, connection, params)
    key = params["idempotencyKey"]
    known = gateway.known(key)
    if known is not None:
        return _replay(gateway, connection, request_id, known)
    if gateway.draining:
        details = {"reason": "gateway-restarting"}
        raise RpcError("UNAVAILABLE", "gateway restarting", details=details, retry_after_ms=1000)
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
    run.owners = tuple(owner for owner in (connection.nonce, connection.device) if owner)
    _refusals(run)
    await asyncio.sleep(run.directives.number("slow-accept", 0.0))
    gateway.remember(key, run)
    accepted = {"runId": key, "sessionKey": session_key, "agentId": params["agentId"], "status": "accepted"}
    connection.respond(request_id, True, {**accepted, "acceptedAt": now_ms()})
    trouble = _trouble(gateway, run)
    if trouble:
        run.response = (False, {"code": "UNAVAILABLE", "message": trouble})
        run.waited = {"runId": key, "status": "error", "error": trouble, "endedAt": now_ms()}
        run.done.set()
        connection.respond(request_id, *run.response)
    else:
        start(gateway, run, (connection, request_id))
    return None


def _replay(gateway: Gateway, connection: SocketConnection, request_id: str, run: Run) -> Payload | None:
    if run.response is not None and gateway.now() >= run.replayable_at:
        connection.respond(request_id, *run.response)
        return None
    return {"runId": run.id, "sessionKey": run.session_key, "status": "in_flight"}


def _trouble(gateway: Gateway, run: Run) -> str | None:
    """The failure right after acceptance, before any model call; None without one."""
    if run.session_key in gateway.interrupted or run.directives.has("session-changed"):
        return f"Session {run.session_key} changed while starting work. Retry."
    if gateway.ledger.knows_user(run.session_key, run.id):
        return "keyed user is outside the current turn"
    if run.directives.has("cooldown") or gateway.now() < gateway.cooling_until:
        return "Provider simulator is temporarily disabled after an authentication failure."
    return None


def _refusals(run: Run) -> None:
    if run.directives.has("refuse"):
        raise RpcError("UNAVAILABLE", "gateway busy", details={"reason": "admission"}, retry_after_ms=100)
    if run.directives.has("forbid"):
        raise RpcError("FORBIDDEN", "not allowed for this caller")


def _check(gateway: Gateway, connection: SocketConnection, params: Payload) -> None:
    for name in ("message", "idempotencyKey"):
        if not isinstance(params.get(name), str) or not params[name]:
            raise RpcError("INVALID_REQUEST", f"invalid agent params: must have required property '{name}'")
    if RESET_COMMAND.match(params["message"].strip()) and "operator.admin" not in connection.scopes:
        raise RpcError("FORBIDDEN", "missing scope: operator.admin", details={"code": "MISSING_SCOPE"})
    unknown = set(params) - AGENT_FIELDS
    if unknown:
        raise RpcError("INVALID_REQUEST", f"invalid agent params: unexpected property '{min(unknown)}'")
    if params.get("provider") or params.get("model"):
        raise RpcError("INVALID_REQUEST", "provider/model overrides are not authorized for this caller.")
    if params.get("promptMode") == "none" and not params.get("modelRun"):
        raise RpcError("INVALID_REQUEST", "promptMode none requires modelRun")
    if params.get("agentId") not in gateway.options.agents:
        raise RpcError("INVALID_REQUEST", f'invalid agent params: unknown agent id "{params.get("agentId")}"')
    session_key = str(params.get("sessionKey") or "")
    if len(session_key) > 512:
        raise RpcError("INVALID_REQUEST", "invalid agent params: at /sessionKey: too long")
    if not params.get("modelRun") and not session_key.startswith(f"agent:{params['agentId']}:"):
        raise RpcError("INVALID_REQUEST", "session key does not belong to the agent")


async def wait(gateway: Gateway, connection: SocketConnection, request_id: str, params: Payload) -> Payload:
    """Wait for a run's end; a bare timeout means that it goes on or that it is unknown."""
    run = gateway.runs.get(str(params.get("runId")))
    bare = {"runId": params.get("runId"), "status": "timeout"}
    seconds = float(params.get("timeoutMs", 30_000)) / 1000
    if run is None:
        await asyncio.sleep(seconds)
        return bare
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await run.done.wait()
    return run.waited or bare


async def abort(gateway: Gateway, connection: SocketConnection, request_id: str, params: Payload) -> Payload:
    """Stop a session's runs, except those that the gateway is only about to start."""
    await asyncio.sleep(ABORT_SECONDS)
    active = gateway.active_in(str(params.get("key")), params.get("runId"))
    asker = {connection.nonce, connection.device}
    if "operator.admin" not in connection.scopes and any(run.owners and not asker & set(run.owners) for run in active):
        raise RpcError("INVALID_REQUEST", "unauthorized")
    for run in active:
        await run.stop()
    if not active:
        return {"ok": True, "abortedRunId": None, "status": "no-active-run"}
    return {"ok": True, "abortedRunId": active[0].id, "status": "aborted"}


async def tasks(gateway: Gateway, connection: SocketConnection, request_id: str, params: Payload) -> Payload:
    return {"tasks": gateway.ledger.of_session(params.get("sessionKey"))}


async def history(gateway: Gateway, connection: SocketConnection, request_id: str, params: Payload) -> Payload:
    session_key = str(params.get("sessionKey"))
    return {"sessionKey": session_key, "messages": gateway.ledger.history.get(session_key, [])}


async def agents(gateway: Gateway, connection: SocketConnection, request_id: str, params: Payload) -> Payload:
    if params:
        raise RpcError("INVALID_REQUEST", f"invalid agents.list params: at root: unexpected property '{min(params)}'")
    ids = gateway.options.agents
    listed = [{"id": name, "model": {"primary": "stub/sim-1"}, "defaultPermissionMode": "full"} for name in ids]
    return {"defaultId": ids[0], "ownership": "explicit", "mainKey": "main", "scope": "per-sender", "agents": listed}


async def health(gateway: Gateway, connection: SocketConnection, request_id: str, params: Payload) -> Payload:
    return {"ok": True}


Method = Callable[[Gateway, SocketConnection, str, Payload], Awaitable[Payload | None]]
METHODS: dict[str, tuple[str, Method]] = {
    "agent": ("operator.write", agent),
    "agent.wait": ("operator.write", wait),
    "sessions.abort": ("operator.write", abort),
    "tasks.list": ("operator.read", tasks),
    "agents.list": ("operator.read", agents),
    "chat.history": ("operator.read", history),
    "health": ("operator.read", health),
}
