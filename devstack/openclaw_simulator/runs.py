"""One run of an agent: its events, its end, and the three shapes in which the end is told."""

import asyncio
import contextlib
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from devstack.openclaw_simulator import brain
from devstack.openclaw_simulator.directives import FAILURES, Directives
from devstack.openclaw_simulator.ledger import now_ms

if TYPE_CHECKING:
    from devstack.openclaw_simulator.gateway import Gateway

Payload = dict[str, Any]
MODEL = {"provider": "simulator", "model": "sim-1"}
WAIT_TEXT = 4096
REPLAY_LAG = 0.1


@dataclass
class Run:
    """A run in the gateway's memory. `response` is the last response: (ok, payload or error)."""

    id: str
    session_key: str
    message: str
    system: str
    timeout: float
    directives: Directives
    ledgered: bool = True
    ghost: bool = False
    task: asyncio.Task[None] | None = None
    started_at: int | None = None
    ended_at: int | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    response: tuple[bool, Payload] | None = None
    waited: Payload | None = None
    replayable_at: float = 0.0
    abort_asked: bool = False
    text: str = ""
    http_error: tuple[int, str, str] | None = None
    owners: tuple[str, ...] = ()  # the connection, and the device, that may abort it; nobody owns a ghost


class Failed(Exception):
    """The model's provider failed for good."""


class Runner:
    """Plays one run: queue, turn, events, end."""

    def __init__(self, gateway: "Gateway", run: Run) -> None:
        self.gateway, self.run = gateway, run
        self.seq = 0

    async def play(self) -> None:
        """Wait for the session's turn and for a slot, then run to an end."""
        run, gateway = self.run, self.gateway
        try:
            async with gateway.session_lock(run.session_key), gateway.cap:
                if gateway.draining and not run.ghost:
                    self.end_failed("Gateway is draining; new tasks are not accepted", detail=None, quiet=True)
                    return
                await self.turn()
        except asyncio.CancelledError:
            if not run.abort_asked:
                raise  # the gateway dies; nobody is told
            self.end_aborted()
        finally:
            run.done.set()

    async def turn(self) -> None:
        run, wishes = self.run, self.run.directives
        run.started_at = now_ms()
        self.task("running")
        self.lifecycle("start")
        self.lifecycle("model", **MODEL)
        self.gateway.calls.append(
            {"runId": run.id, "sessionKey": run.session_key, "prompt": run.message, "ghost": run.ghost}
        )
        if not run.ghost and run.ledgered:
            self.gateway.ledger.say(
                run.session_key, {"role": "user", "content": run.message, "idempotencyKey": f"{run.id}:user"}
            )
        try:
            async with asyncio.timeout(run.timeout * self.gateway.second):
                await self.provider_failures()
                await self.speak()
        except TimeoutError:
            self.end_timeout()
        except Failed as failure:
            self.fail_as(str(failure))
        else:
            await self.end_well(wishes)

    async def provider_failures(self) -> None:
        """Retry a failing provider as often as the gateway would, faster."""
        name = self.run.directives.failure
        if name is None:
            return
        retries = int(self.run.directives.number("retries", FAILURES[name][4]))
        for attempt in range(1, retries + 1):
            delay = min(2.0**attempt, 20.0) * self.gateway.retry_scale
            self.lifecycle(
                "retrying",
                retryAttempt=attempt,
                maxRetries=retries,
                delayMs=int(delay * 1000),
                reason=FAILURES[name][2],
            )
            await asyncio.sleep(delay)
        raise Failed(name)

    async def speak(self) -> None:
        run, wishes = self.run, self.run.directives
        full = self.reply()
        chunks = max(1, int(wishes.number("chunks", 3)))
        delay = wishes.number("delay", self.gateway.delay)
        if wishes.has("tool"):
            self.event("agent", stream="tool", data={"phase": "start", "name": wishes.text("tool", "web_search")})
        size = max(1, -(-len(full) // chunks))
        for chunk in range(chunks):
            await asyncio.sleep(delay / chunks)
            await self.accidents(chunk, chunks)
            delta = full[chunk * size : (chunk + 1) * size]
            if delta:
                run.text += delta
                self.event("agent", stream="assistant", data={"text": run.text, "delta": delta})
                self.event("chat", state="delta", deltaText=delta)

    async def accidents(self, chunk: int, chunks: int) -> None:
        wishes = self.run.directives
        early = chunk == 0
        if (early and wishes.has("drop-early")) or (chunk == chunks // 2 and wishes.has("drop")):
            self.gateway.drop_sockets()
        if (early and wishes.has("crash-early")) or (chunk == chunks // 2 and wishes.has("crash")):
            self.gateway.crash_soon()
            await asyncio.sleep(60)
        if wishes.has("hang"):
            await asyncio.sleep(10**6)

    def reply(self) -> str:
        wishes = self.run.directives
        if wishes.has("reply"):
            return wishes.text("reply")
        if wishes.has("big"):
            return "x" * int(wishes.number("big", 10_000))
        return brain.answer(wishes.prompt, self.run.system)

    # -- ends --------------------------------------------------------------------------------------------------------

    async def end_well(self, wishes: Directives) -> None:
        run = self.run
        usage = {"input": len(run.message.split()) + 4, "output": len(run.text.split())}
        usage["total"] = usage["input"] + usage["output"]
        run.ended_at = now_ms()
        if wishes.has("fail-status-error"):
            self.finish(
                (True, {"status": "error", "summary": "failed"}), {"status": "error", "error": "failed"}, "failed"
            )
            self.over("error", errorMessage="failed")
            return
        if run.ledgered:
            content = [{"type": "text", "text": run.text}]
            row = {
                "role": "assistant",
                "content": content,
                "usage": {**usage, "totalTokens": usage["total"]},
                **MODEL,
                "__openclaw": {"runId": run.id},
            }
            self.gateway.ledger.say(run.session_key, row)
        self.event("agent", stream="usage", data=usage)
        self.lifecycle("finishing")
        self.task("running")  # a real gateway repeats itself until the very end
        await asyncio.sleep(0)
        meta: Payload = {"durationMs": run.ended_at - (run.started_at or 0), "aborted": False}
        meta["agentMeta"] = {**MODEL, "usage": usage}
        payload: Payload = {"text": run.text, "mediaUrl": None}
        if wishes.has("error-payload"):
            payload["isError"] = True
            meta["error"] = {"kind": wishes.text("error-payload", "context_overflow"), "message": "it does not fit"}
        result = {"payloads": [payload], "meta": meta}
        self.lifecycle("end", status="completed", executionSettled=True)
        self.over("final")
        reply = {"disposition": "visible", "text": run.text[:WAIT_TEXT]}
        self.finish(
            (True, {"status": "ok", "summary": "completed", "result": result}),
            {"status": "ok", "stopReason": "stop", "terminalReply": reply, "terminalReceipt": {"runId": run.id}},
            "completed",
        )

    def end_timeout(self) -> None:
        self.lifecycle("end", status="timed_out", executionSettled=True)
        final = {"status": "timeout", "summary": "aborted", "timeoutPhase": "provider", "providerStarted": True}
        self.run.ended_at = now_ms()
        self.over("error", errorMessage="agent run timed out")
        self.finish((True, final), {"status": "timeout", "error": "agent run timed out"}, "timed_out")

    def end_aborted(self) -> None:
        run = self.run
        run.ended_at = now_ms()
        run.http_error = (500, "api_error", "agent run aborted")
        if run.started_at is None:
            error = {"code": "UNAVAILABLE", "message": "admitted run authority is no longer active"}
            self.finish((False, error), {"status": "error", "stopReason": "rpc"}, "cancelled")
            return
        self.lifecycle("end", status="cancelled", executionSettled=True)
        final = {"status": "timeout", "summary": "aborted", "stopReason": "rpc", "timeoutPhase": "provider"}
        self.over("aborted")
        self.finish((True, final), {"status": "error", "stopReason": "rpc"}, "cancelled")

    def fail_as(self, name: str) -> None:
        status, kind, reason, runtime, _ = FAILURES[name]
        text = f"The provider failed ({name})."
        self.run.http_error = (status, kind, text)
        detail: Payload | None = {**MODEL, "failoverReason": reason}
        if runtime:
            detail = {**MODEL, "failoverReason": reason, "providerRuntimeFailureKind": runtime}
        if name in ("401", "402"):
            self.gateway.cool_down()
        if self.run.directives.has("no-cause"):
            detail = None
        self.end_failed(text, detail=detail)

    def end_failed(self, text: str, *, detail: Payload | None, quiet: bool = False) -> None:
        self.run.ended_at = now_ms()
        if self.run.http_error is None:
            self.run.http_error = (500, "api_error", "internal error")
        finish = ((False, {"code": "UNAVAILABLE", "message": text}), {"status": "error", "error": text}, "failed")
        if quiet:
            self.finish(*finish)
            return
        late = self.run.directives.has("late-cause")
        if late:
            self.finish(*finish)
            asyncio.get_running_loop().call_later(0.05, self.tell_failure, text, detail)
            return
        self.tell_failure(text, detail)
        self.finish(*finish)

    def tell_failure(self, text: str, detail: Payload | None) -> None:
        observed = {"errorObservation": detail} if detail else {}
        self.lifecycle("error", error=text, executionSettled=True, **observed)
        self.over("error", errorMessage=text, **({"errorDetail": detail} if detail else {}))

    def finish(self, response: tuple[bool, Payload], waited: Payload, status: str) -> None:
        """Set all shapes of the end, and send the last response to whoever began the run."""
        run = self.run
        ok, body = response
        run.response = (ok, {"runId": run.id, "sessionKey": run.session_key, **body} if ok else body)
        run.waited = {"runId": run.id, "startedAt": run.started_at, "endedAt": run.ended_at, **waited}
        run.replayable_at = asyncio.get_running_loop().time() + REPLAY_LAG
        self.task(status, summary=str(body.get("message") or body.get("summary") or ""))
        self.gateway.respond(run)
        run.done.set()

    # -- events ------------------------------------------------------------------------------------------------------

    def task(self, status: str, summary: str | None = None) -> None:
        if self.run.ledgered:
            row = self.gateway.ledger.put(self.run.id, self.run.session_key, status, summary)
            self.gateway.broadcast("task", {"action": "upserted", "task": row})

    def lifecycle(self, phase: str, **data: Any) -> None:
        self.event("agent", stream="lifecycle", data={"phase": phase, **data})

    def over(self, state: str, **more: Any) -> None:
        self.event("chat", state=state, **more)

    def event(self, name: str, **payload: Any) -> None:
        self.seq += 1
        body = {"runId": self.run.id, "sessionKey": self.run.session_key, "seq": self.seq, "ts": now_ms(), **payload}
        self.gateway.broadcast(name, body, tools=payload.get("stream") in ("tool", "item"))


async def stop(run: Run) -> None:
    """Abort and wait until the run has told its end."""
    run.abort_asked = True
    if run.task is not None:
        run.task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await run.done.wait()


def ghost_of(row: Payload, timeout: float) -> Run:
    """The continuation that the gateway starts by itself after a crash."""
    message = "[System] Your previous turn was interrupted by a restart. Continue where you left off."
    return Run(str(uuid.uuid4()), row["sessionKey"], message, "", timeout, Directives({}, message), ghost=True)
