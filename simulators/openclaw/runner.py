"""Plays one run: its events, and the three forms in which its end is reported."""

import asyncio
from typing import Any

from simulators.openclaw import canned_answers
from simulators.openclaw.connection import SocketConnection
from simulators.openclaw.directives import FAILURES, Directives
from simulators.openclaw.gateway import Gateway
from simulators.openclaw.run import Run, orphan_of
from simulators.openclaw.wire import Payload, now_ms

MODEL = {"provider": "simulator", "model": "sim-1"}
WAIT_TEXT = 4096
REPLAY_LAG = 0.1


class Failed(Exception):
    """The model's provider failed for good."""


class Runner:
    """Plays one run: queue, turn, events, end."""

    def __init__(self, gateway: Gateway, run: Run) -> None:
        self.gateway, self.run = gateway, run
        self.seq = 0

    async def play(self) -> None:
        """Wait for the session's turn and for a slot, then run to an end."""
        run, gateway = self.run, self.gateway
        try:
            async with gateway.session_lock(run.session_key), gateway.cap:
                if gateway.draining and not run.orphan:
                    self.end_failed("Gateway is draining; new tasks are not accepted", detail=None, quiet=True)
                    return
                await self.turn()
        except asyncio.CancelledError:
            if not run.abort_asked:
                raise  # the gateway dies without reporting it
            self.end_aborted()
        finally:
            run.done.set()

    async def turn(self) -> None:
        run, directives = self.run, self.run.directives
        run.started_at = now_ms()
        self.task("running")
        self.lifecycle("start")
        self.lifecycle("model", **MODEL)
        self.gateway.calls.append(
            {"runId": run.id, "sessionKey": run.session_key, "prompt": run.message, "ghost": run.orphan}
        )
        if not run.orphan and run.ledgered:
            self.gateway.ledger.say(
                run.session_key, {"role": "user", "content": run.message, "idempotencyKey": f"{run.id}:user"}
            )
        try:
            if directives.has("stubborn"):
                await self.provider_failures()
            async with asyncio.timeout(run.timeout * self.gateway.second):
                await self.provider_failures()
                await self.speak()
        except TimeoutError:
            self.end_timeout()
        except Failed as failure:
            self.fail_as(str(failure))
        else:
            await self.end_well(directives)

    async def provider_failures(self) -> None:
        """Retry a failing provider as often as the gateway does, but faster."""
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
            if self.run.directives.has("stubborn"):
                self.lifecycle("start")
        raise Failed(name)

    async def speak(self) -> None:
        run, directives = self.run, self.run.directives
        full = self.reply()
        chunks = max(1, int(directives.number("chunks", 3)))
        delay = directives.number("delay", self.gateway.delay)
        if directives.has("tool"):
            self.event("agent", stream="tool", data={"phase": "start", "name": directives.text("tool", "web_search")})
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
        directives = self.run.directives
        early = chunk == 0
        if (early and directives.has("drop-early")) or (chunk == chunks // 2 and directives.has("drop")):
            self.gateway.cut_connections()
        if (early and directives.has("crash-early")) or (chunk == chunks // 2 and directives.has("crash")):
            self.gateway.crash_soon()
            await asyncio.sleep(60)
        if directives.has("hang"):
            await asyncio.sleep(10**6)

    def reply(self) -> str:
        directives = self.run.directives
        if directives.has("reply") or directives.has("blank"):
            return directives.text("reply")
        if directives.has("half-emoji"):
            return "Half \ud83d an emoji and a whole one \U0001f600"
        if directives.has("big"):
            return "x" * int(directives.number("big", 10_000))
        return canned_answers.canned_answer(directives.prompt, self.run.system)

    # -- ends --------------------------------------------------------------------------------------------------------

    async def end_well(self, directives: Directives) -> None:
        run = self.run
        usage = {"input": len(run.message.split()) + 4, "output": len(run.text.split())}
        usage["total"] = usage["input"] + usage["output"]
        run.ended_at = now_ms()
        if directives.has("fail-status-error"):
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
        self.task("running")  # a real gateway repeats this until the end
        await asyncio.sleep(0)
        meta: Payload = {"durationMs": run.ended_at - (run.started_at or 0), "aborted": False}
        meta["agentMeta"] = {**MODEL, "usage": usage}
        payload: Payload = {"text": run.text, "mediaUrl": None}
        if directives.has("think"):
            payload["isReasoning"] = True
        if directives.has("error-payload"):
            payload["isError"] = True
            meta["error"] = {"kind": directives.text("error-payload", "context_overflow"), "message": "it does not fit"}
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
        """Report the end in all forms, and send the last response to the connection that began the run."""
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


def start(gateway: Gateway, run: Run, owner: tuple[SocketConnection, str] | None = None) -> None:
    """Let a run go; the owner gets its last response."""
    gateway.runs[run.id] = run
    gateway.most_active = max(gateway.most_active, gateway.active())
    if owner:
        gateway.owners[run.id] = owner
    runner = Runner(gateway, run)
    runner.task("queued")
    run.task = asyncio.create_task(runner.play())


def continue_interrupted(gateway: Gateway) -> None:
    """Start a continuation of each interrupted turn after the gateway's delay."""
    for row in gateway.ledger.interrupt():
        gateway.interrupted.add(row["sessionKey"])
        asyncio.get_running_loop().call_later(gateway.options.orphan_delay, _haunt, gateway, row, gateway.boot_id)


def _haunt(gateway: Gateway, row: Payload, boot_id: str) -> None:
    if boot_id == gateway.boot_id:
        gateway.interrupted.discard(row["sessionKey"])
        start(gateway, orphan_of(row, 600.0))
