"""One WebSocket connection: its client, and sending frames to it."""

import asyncio
import uuid
from contextlib import suppress

from tornado.websocket import WebSocketClosedError, WebSocketHandler

from simulators.openclaw.wire import Payload, as_json, now_ms


class SocketConnection(WebSocketHandler):
    """A client's connection as the gateway sees it; `sockets` adds the protocol."""

    def initialize(self) -> None:
        self.nonce = str(uuid.uuid4())
        self.challenged_at = now_ms()
        self.scopes: tuple[str, ...] = ()
        self.caps: tuple[str, ...] = ()
        self.device = ""
        self.welcome = False
        self._seq = 0

    def open(self) -> None:
        self._stream = self.ws_connection.stream
        self._stream.set_nodelay(True)

    def respond(self, request_id: str, ok: bool, body: Payload) -> None:
        self.send({"type": "res", "id": request_id, "ok": ok, "payload" if ok else "error": body})

    def event(self, event: str, payload: Payload) -> None:
        self._seq += 1
        self.send({"type": "event", "event": event, "payload": payload, "seq": self._seq})

    def send(self, frame: Payload) -> None:
        """Send a frame, or nothing when the connection is lost."""
        with suppress(WebSocketClosedError):
            self.write_message(as_json(frame)).add_done_callback(_ignore_loss)

    def cut(self) -> None:
        """Drop the connection without a closing frame, like a network failure."""
        self._stream.close()


def _ignore_loss(sent: asyncio.Future[None]) -> None:
    if not sent.cancelled():
        sent.exception()
