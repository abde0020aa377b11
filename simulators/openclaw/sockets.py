"""The protocol of a WebSocket client: challenge, handshake, requests."""

import asyncio

import orjson

from simulators.openclaw.connection import SocketConnection
from simulators.openclaw.gateway import Gateway
from simulators.openclaw.handshake import handshake
from simulators.openclaw.rpc import METHODS, RpcError
from simulators.openclaw.wire import Payload

BEFORE_HELLO = 64 * 1024
AFTER_HELLO = 25 * 2**20


class SocketHandler(SocketConnection):
    """The protocol above the frames, which are tornado's."""

    def initialize(self, gateway: Gateway) -> None:
        super().initialize()
        self._gateway = gateway
        self._tasks: set[asyncio.Task[None]] = set()

    def check_origin(self, origin: str) -> bool:
        return True  # the gateway is protected by tokens, not cookies

    def open(self) -> None:
        super().open()
        self._gateway.connections.add(self)
        challenge = {"nonce": self.nonce, "ts": self.challenged_at, "capabilities": ["model-catalog-snapshot"]}
        self.send({"type": "event", "event": "connect.challenge", "payload": challenge})

    def on_message(self, message: str | bytes) -> None:
        data = message.encode() if isinstance(message, str) else message
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
            self._handshake(request_id, method, params)
            return
        task = asyncio.create_task(self._perform(request_id, method, params))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def on_close(self) -> None:
        self._gateway.connections.discard(self)

    def _handshake(self, request_id: str, method: str, params: Payload) -> None:
        try:
            if method != "connect":
                raise RpcError("INVALID_REQUEST", "invalid handshake: first request must be connect", close=1008)
            payload = handshake(self._gateway, self, params)
        except RpcError as refusal:
            self.respond(request_id, False, refusal.error)
            self.close(refusal.close or 1008, refusal.error["message"][:100])
            return
        self.welcome = True
        self.respond(request_id, True, payload)

    async def _perform(self, request_id: str, method: str, params: Payload) -> None:
        try:
            if method not in METHODS:
                raise RpcError("INVALID_REQUEST", f"unknown method: {method}")
            scope, perform = METHODS[method]
            if scope not in self.scopes:
                raise RpcError("FORBIDDEN", f"missing scope: {scope}", details={"code": "MISSING_SCOPE"})
            payload = await perform(self._gateway, self, request_id, params)
        except RpcError as refusal:
            self.respond(request_id, False, refusal.error)
            return
        if payload is not None:
            self.respond(request_id, True, payload)
