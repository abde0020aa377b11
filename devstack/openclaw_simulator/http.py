"""The HTTP half: health, models, and chat completions: no idempotency, and closing the connection ends the run."""

import asyncio
import contextlib
import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from devstack.openclaw_simulator import runs
from devstack.openclaw_simulator.hello import WRONG_TOKENS_ALLOWED
from devstack.openclaw_simulator.ledger import now_ms

if TYPE_CHECKING:
    from devstack.openclaw_simulator.gateway import Gateway

Payload = dict[str, Any]
MAX_BODY = 20 * 2**20
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 404: "Not Found"}


@dataclass
class Answer(Exception):
    """A response that ends the handling."""

    status: int
    body: bytes
    kind: str = "application/json; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


def error(status: int, kind: str, message: str, *headers: tuple[str, str]) -> Answer:
    return Answer(status, orjson.dumps({"error": {"message": message, "type": kind}}), headers=headers)


async def handle(gateway: "Gateway", head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """One request; False ends the connection."""
    method, path, headers = _parse(head)
    length = int(headers.get("content-length", 0))
    try:
        if length > MAX_BODY:
            raise error(413, "invalid_request_error", "Payload too large")
        body = await reader.readexactly(length)
        await _route(gateway, method, path.partition("?")[0], headers, body, reader, writer)
    except Answer as answer:
        _write(writer, answer)
        await writer.drain()
        return answer.status < 400
    return False


async def _route(
    gateway: "Gateway",
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    if path in ("/healthz", "/startupz", "/readyz"):
        ready = gateway.now() >= gateway.ready_at and not gateway.draining
        raise Answer(200 if ready or path == "/healthz" else 503, orjson.dumps({"ready": ready}))
    if path not in ("/v1/chat/completions", "/v1/models"):
        raise Answer(404, b"Not Found", "text/plain; charset=utf-8")
    if method != ("GET" if path == "/v1/models" else "POST"):
        raise Answer(405, b"Method Not Allowed", "text/plain; charset=utf-8")
    _authorise(gateway, headers)
    if path == "/v1/models":
        raise Answer(
            200,
            orjson.dumps({"object": "list", "data": [{"id": f"openclaw/{name}"} for name in gateway.options.agents]}),
        )
    await _complete(gateway, headers, body, reader, writer)


def _authorise(gateway: "Gateway", headers: dict[str, str]) -> None:
    if gateway.options.lockout and gateway.wrong_tokens >= WRONG_TOKENS_ALLOWED:
        raise error(429, "rate_limited", "Too many failed authentication attempts.", ("Retry-After", "300"))
    token = headers.get("authorization", "").removeprefix("Bearer ")
    if not secrets.compare_digest(token.encode(), gateway.options.token.encode()):
        gateway.wrong_tokens += 1
        raise error(401, "unauthorized", "Unauthorized")


async def _complete(
    gateway: "Gateway", headers: dict[str, str], body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    request = _request(gateway, body)
    run = _start(gateway, headers, request)
    gone = asyncio.create_task(reader.read(1))
    done = asyncio.create_task(run.done.wait())
    if request.get("stream"):
        await _stream(run, writer, gone)
    await asyncio.wait((gone, done), return_when=asyncio.FIRST_COMPLETED)
    if not run.done.is_set():
        await runs.stop(run)  # the client went away: nobody waits for the answer
        return
    gone.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await gone
    if not request.get("stream"):
        raise _end(run)


def _request(gateway: "Gateway", body: bytes) -> Payload:
    try:
        request = orjson.loads(body)
        agent = request["model"].removeprefix("openclaw").removeprefix("/")
        messages = request["messages"]
    except (orjson.JSONDecodeError, LookupError, AttributeError, TypeError):
        raise error(400, "invalid_request_error", "Invalid request body") from None
    if not request["model"].startswith("openclaw") or (agent and agent not in gateway.options.agents):
        raise error(400, "invalid_request_error", "Invalid `model`. Use `openclaw` or `openclaw/<agentId>`.")
    if gateway.draining:
        raise Answer(503, orjson.dumps({"error": {"message": "gateway draining", "code": "gateway_unavailable"}}))
    if gateway.now() < gateway.cooling_until:
        raise error(500, "api_error", "internal error")
    return {**request, "agent": agent or "flow", "messages": messages}


def _start(gateway: "Gateway", headers: dict[str, str], request: Payload) -> runs.Run:
    said = {part["role"]: str(part["content"]) for part in request["messages"]}
    run_id = f"chatcmpl_{uuid.uuid4()}"
    session_key = headers.get("x-openclaw-session-key") or f"agent:{request['agent']}:openai:{uuid.uuid4()}"
    run = gateway.make_run(run_id, session_key, said.get("user", ""), said.get("system", ""), 172_800, ledgered=False)
    if run.directives.has("cooldown"):
        raise error(500, "api_error", "internal error")
    gateway.start(run)
    return run


def _end(run: runs.Run) -> Answer:
    if run.http_error:
        return error(*run.http_error)
    if run.response is None or run.response[1].get("status") != "ok":
        return error(500, "api_error", "internal error")
    usage = run.response[1]["result"]["meta"]["agentMeta"]["usage"]
    completion = {
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
    return Answer(200, orjson.dumps(completion))


async def _stream(run: runs.Run, writer: asyncio.StreamWriter, gone: asyncio.Task[bytes]) -> None:
    """Status 200 at once, whatever comes; no keep-alive bytes while the model thinks."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    sent = 0
    while not gone.done() and not (run.done.is_set() and sent == len(run.text)):
        if len(run.text) > sent:
            _event(writer, {"choices": [{"index": 0, "delta": {"content": run.text[sent:]}}]})
            sent = len(run.text)
        await asyncio.sleep(0.01)
    if run.http_error:
        _event(writer, {"error": {"message": run.http_error[2], "type": "api_error"}})
    else:
        _event(writer, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    writer.write(b"data: [DONE]\n\n")


def _event(writer: asyncio.StreamWriter, data: Payload) -> None:
    writer.write(b"data: " + orjson.dumps(data) + b"\n\n")


def _write(writer: asyncio.StreamWriter, answer: Answer) -> None:
    lines = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Status')}", f"content-type: {answer.kind}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    lines.append(f"content-length: {len(answer.body)}")
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body)


def _parse(head: bytes) -> tuple[str, str, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    method, path, _ = (lines[0] + "  ").split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return method, path, headers
