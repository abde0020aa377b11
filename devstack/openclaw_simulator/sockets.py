"""One WebSocket connection as the gateway sees it: challenge, hello, requests."""

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import orjson

from devstack.openclaw_simulator import hello
from devstack.openclaw_simulator.ledger import now_ms
from devstack.openclaw_simulator.rpc import METHODS, Refusal

if TYPE_CHECKING:
    from devstack.openclaw_simulator.gateway import Gateway
    from devstack.openclaw_simulator.transport import WebSocket

Payload = dict[str, Any]
BEFORE_HELLO = 64 * 1024
AFTER_HELLO = 25 * 2**20


class Socket:
    """The protocol above the frames of one `transport.WebSocket`."""

    def __init__(self, gateway: "Gateway", wire: "WebSocket") -> None:
        self.gateway, self.wire = gateway, wire
        self.nonce = str(uuid.uuid4())
        self.challenged_at = now_ms()
        self.scopes: tuple[str, ...] = ()
        self.caps: tuple[str, ...] = ()
        self.device = ""
        self.welcome = False
        self._seq = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def opened(self) -> None:
        challenge = {"nonce": self.nonce, "ts": self.challenged_at, "capabilities": ["model-catalog-snapshot"]}
        self.send({"type": "event", "event": "connect.challenge", "payload": challenge})

    def received(self, data: bytes) -> None:
        if len(data) > (AFTER_HELLO if self.welcome else BEFORE_HELLO):
            self.close(1009, "payload too large")
            return
        try:
            frame = orjson.loads(data)
            request_id, method = str(frame["id"]), str(frame["method"])
        except (orjson.JSONDecodeError, LookupError, TypeError):
            self.close(1008, "invalid request frame")
            return
        params = frame.get("params") or {}
        if not self.welcome:
            self._greet(request_id, method, params)
            return
        task = asyncio.create_task(self._perform(request_id, method, params))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _greet(self, request_id: str, method: str, params: Payload) -> None:
        try:
            if method != "connect":
                raise Refusal("INVALID_REQUEST", "invalid handshake: first request must be connect", close=1008)
            payload = hello.greet(self, params)
        except Refusal as refusal:
            self.respond(request_id, False, refusal.error)
            self.close(refusal.close or 1008, refusal.error["message"])
            return
        self.welcome = True
        self.gateway.sockets.add(self)
        self.respond(request_id, True, payload)

    async def _perform(self, request_id: str, method: str, params: Payload) -> None:
        try:
            if method not in METHODS:
                raise Refusal("INVALID_REQUEST", f"unknown method: {method}")
            scope, perform = METHODS[method]
            if scope not in self.scopes:
                raise Refusal("FORBIDDEN", f"missing scope: {scope}", details={"code": "MISSING_SCOPE"})
            payload = await perform(self, request_id, params)
        except Refusal as refusal:
            self.respond(request_id, False, refusal.error)
            return
        if payload is not None:
            self.respond(request_id, True, payload)

    def respond(self, request_id: str, ok: bool, body: Payload) -> None:
        self.send({"type": "res", "id": request_id, "ok": ok, "payload" if ok else "error": body})

    def event(self, event: str, payload: Payload) -> None:
        self._seq += 1
        self.send({"type": "event", "event": event, "payload": payload, "seq": self._seq})

    def send(self, frame: Payload) -> None:
        self.wire.send(orjson.dumps(frame))

    def close(self, code: int, reason: str) -> None:
        self.gateway.sockets.discard(self)
        self.wire.close(code, reason)

    def cut(self) -> None:
        """The network goes away without a word."""
        self.gateway.sockets.discard(self)
        self.wire.abort()

    def lost(self) -> None:
        self.gateway.sockets.discard(self)
