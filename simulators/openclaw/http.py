"""The HTTP endpoints: health, models, and chat completions, where closing the connection ends the run."""

import asyncio
import secrets
import uuid
from http import HTTPStatus
from typing import Any

import orjson
from tornado.web import HTTPError, RequestHandler

from simulators.openclaw.gateway import Gateway
from simulators.openclaw.handshake import WRONG_TOKENS_ALLOWED
from simulators.openclaw.run import Run
from simulators.openclaw.runner import start
from simulators.openclaw.wire import Payload, as_json, now_ms

MAX_BODY = 20 * 2**20
RUN_TIMEOUT = 172_800.0


class GatewayHttpError(HTTPError):
    """An error in the gateway's JSON format."""

    def __init__(self, status: int, message: str, **more: str) -> None:
        super().__init__(status)
        self.error = {"message": message, **more}


class _GatewayHandler(RequestHandler):
    """Errors are JSON where the gateway has one for them, plain text elsewhere."""

    def initialize(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def answer(self, body: Any, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(as_json(body))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs["exc_info"][1]
        if isinstance(error, GatewayHttpError):
            if status_code == HTTPStatus.TOO_MANY_REQUESTS:
                self.set_header("Retry-After", "300")
            self.answer({"error": error.error}, status_code)
        else:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(HTTPStatus(status_code).phrase)

    def authorise(self) -> None:
        gateway = self._gateway
        if gateway.options.lockout and gateway.wrong_tokens >= WRONG_TOKENS_ALLOWED:
            raise GatewayHttpError(429, "Too many failed authentication attempts.", type="rate_limited")
        token = self.request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not secrets.compare_digest(token.encode(), gateway.options.token.encode()):
            gateway.wrong_tokens += 1
            raise GatewayHttpError(401, "Unauthorized", type="unauthorized")


class NotFoundHandler(_GatewayHandler):
    """Unknown paths."""

    def prepare(self) -> None:
        raise HTTPError(404)


class HealthHandler(_GatewayHandler):
    """Liveness and readiness; needs no token."""

    def get(self, name: str) -> None:
        gateway = self._gateway
        ready = gateway.now() >= gateway.ready_at and not gateway.draining
        self.answer({"ready": ready}, 200 if ready or name == "healthz" else 503)


class ModelsHandler(_GatewayHandler):
    """The agents, listed as models."""

    def get(self) -> None:
        self.authorise()
        names = ("openclaw", "openclaw/default", *(f"openclaw/{name}" for name in self._gateway.options.agents))
        self.answer({"object": "list", "data": [{"id": name} for name in names]})


class CompletionsHandler(_GatewayHandler):
    """One turn of an agent."""

    def initialize(self, gateway: Gateway) -> None:
        super().initialize(gateway)
        self._run: Run | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def post(self) -> None:
        if len(self.request.body) > MAX_BODY:
            raise GatewayHttpError(413, "Payload too large", type="invalid_request_error")
        self.authorise()
        request = _request(self._gateway, self.request.body)
        session_key = self.request.headers.get("x-openclaw-session-key")
        self._run = run = _start(self._gateway, session_key, request)
        if request.get("stream"):
            await self._stream(run)
        else:
            await run.done.wait()
            self.answer(_completion(run))

    def on_connection_close(self) -> None:
        """Stop the run when the client disconnects."""
        if self._run is not None and not self._run.done.is_set():
            self._stopping = asyncio.create_task(self._run.stop())

    async def _stream(self, run: Run) -> None:
        """Stream with status 200 from the start, without keep-alive bytes while the model works."""
        self.set_header("Content-Type", "text/event-stream")
        self.flush()
        sent = 0
        while not (run.done.is_set() and sent == len(run.text)):
            if len(run.text) > sent:
                self._event({"choices": [{"index": 0, "delta": {"content": run.text[sent:]}}]})
                sent = len(run.text)
            await asyncio.sleep(0.01)
        if run.http_error:
            self._event({"error": {"message": run.http_error[2], "type": "api_error"}})
        else:
            self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self.finish(b"data: [DONE]\n\n")

    def _event(self, data: Payload) -> None:
        self.write(b"data: " + as_json(data) + b"\n\n")
        self.flush()


def _request(gateway: Gateway, body: bytes) -> Payload:
    try:
        request = orjson.loads(body)
        agent = request["model"].removeprefix("openclaw").removeprefix("/")
        messages = request["messages"]
    except (orjson.JSONDecodeError, LookupError, AttributeError, TypeError):
        raise GatewayHttpError(400, "Invalid request body", type="invalid_request_error") from None
    if not request["model"].startswith("openclaw"):
        message = "Invalid `model`. Use `openclaw` or `openclaw/<agentId>`."
        raise GatewayHttpError(400, message, type="invalid_request_error")
    if agent and agent not in gateway.options.agents:
        raise GatewayHttpError(400, f"Unknown agent '{agent}'.", type="invalid_request_error")
    if gateway.draining:
        raise GatewayHttpError(503, "gateway draining", code="gateway_unavailable")
    if gateway.now() < gateway.cooling_until:
        raise GatewayHttpError(500, "internal error", type="api_error")
    return {**request, "agent": agent or "flow", "messages": messages}


def _start(gateway: Gateway, session_key: str | None, request: Payload) -> Run:
    said = {part["role"]: str(part["content"]) for part in request["messages"]}
    run_id = f"chatcmpl_{uuid.uuid4()}"
    session_key = session_key or f"agent:{request['agent']}:openai:{uuid.uuid4()}"
    prompt, system = said.get("user", ""), said.get("system", "")
    run = gateway.make_run(run_id, session_key, prompt, system, RUN_TIMEOUT, ledgered=False)
    if run.directives.has("cooldown"):
        raise GatewayHttpError(500, "internal error", type="api_error")
    start(gateway, run)
    return run


def _completion(run: Run) -> Payload:
    """The response of a run that has ended; raises `GatewayHttpError`."""
    if run.http_error:
        status, kind, message = run.http_error
        raise GatewayHttpError(status, message, type=kind)
    if run.response is None or run.response[1].get("status") != "ok":
        raise GatewayHttpError(500, "internal error", type="api_error")
    usage = run.response[1]["result"]["meta"]["agentMeta"]["usage"]
    return {
        "id": run.id,
        "object": "chat.completion",
        "created": now_ms() // 1000,
        "model": "openclaw/flow",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": run.text}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": usage["input"],
            "completion_tokens": usage["output"],
            "total_tokens": usage["total"],
        },
    }
