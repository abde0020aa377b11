"""One WebSocket connection to the gateway: the hello, and frames going out and coming in.

A `GatewayConnection` exists only after a complete hello, so its holder knows the gateway's process (`boot_id`) and its
rights.
"""

import itertools
import platform
import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI, WebSocketException
from websockets.sync.client import ClientConnection, connect

import threads
from models.rules.values.json_values import read_json
from settings import OpenClawSettings
from workers.gateways.base import CallFailed
from workers.gateways.openclaw import classify
from workers.gateways.openclaw.device import ClientIdentity, Device

PROTOCOL = 4
SCOPES = ("operator.read", "operator.write")
ADMIN_SCOPES = (*SCOPES, "operator.admin")
CALLER = ClientIdentity("gateway-client", "backend", "operator", SCOPES, platform.system().lower())
VERSION = "0.1.0"
OPEN_SECONDS = 5.0
HELLO_SECONDS = 10.0
MAX_INCOMING = 64 * 2**20  # the final frame repeats the text about three times
DEAD_PEER_MS = 30_000

Frame = Mapping[str, Any]
OnResponse = Callable[["GatewayConnection", str, Frame], None]
OnEvent = Callable[["GatewayConnection", str, Frame], None]


class LinkLost(Exception):
    """The connection was lost; it is unknown whether the last request arrived."""


class GatewayConnection:
    """An open connection after the handshake. `request` may be called from any thread, `read` only from one."""

    def __init__(self, ws: ClientConnection, hello: Frame, clean: Callable[[Frame], Frame]) -> None:
        server = hello["server"]
        self.boot_id = str(server.get("bootId") or server.get("connId"))
        self.version = str(server.get("version"))
        self.scopes = tuple(hello["auth"].get("scopes") or ())
        self.device_token: str | None = hello["auth"].get("deviceToken")
        self.max_frame = int(hello.get("policy", {}).get("maxPayload", 25 * 2**20))
        self.alive = True
        self._ws = ws
        self._clean = clean
        self._ids = itertools.count(2)
        self._pending: dict[str, OnResponse] = {}

    def request(self, method: str, params: Frame, on_response: OnResponse) -> str:
        """Send a request; the reader's thread calls `on_response`. Raises `LinkLost` or `CallFailed`."""
        request_id = str(next(self._ids))
        frame = encode({"type": "req", "id": request_id, "method": method, "params": params})
        if len(frame) > self.max_frame:
            raise classify.TOO_LARGE.failure()
        self._pending[request_id] = on_response
        try:
            self._ws.send(frame, text=True)
        except (ConnectionClosed, OSError) as error:
            self.alive = False
            self.forget(request_id)
            raise LinkLost from error
        return request_id

    def forget(self, request_id: str) -> None:
        """Drop the handler of a request."""
        self._pending.pop(request_id, None)

    def read(self, on_event: OnEvent) -> None:
        """Dispatch incoming frames until the connection ends."""
        try:
            while isinstance(frame := read_json(self._ws.recv(decode=False)), dict):
                self._hand_out(frame, on_event)
        except (ConnectionClosed, OSError, ValueError):
            return
        finally:
            self.alive = False

    def close(self) -> None:
        """End the connection; the reader notices."""
        self.alive = False
        self._ws.close()

    def _hand_out(self, frame: Frame, on_event: OnEvent) -> None:
        kind = frame.get("type")
        payload = frame.get("payload")
        if kind == "event" and isinstance(payload, dict):
            on_event(self, str(frame.get("event")), payload)
        elif kind == "res":
            request_id = str(frame.get("id"))
            # `agent` has two responses, so its handler stays registered after the first.
            accepted = isinstance(payload, dict) and payload.get("status") == "accepted"
            on_response = self._pending.get(request_id) if accepted else self._pending.pop(request_id, None)
            if on_response is not None:
                on_response(self, request_id, frame if frame.get("ok") else self._refusal(frame))

    def _refusal(self, frame: Frame) -> Frame:
        return {**frame, "error": self._clean(frame.get("error") or {})}


class Dialler:
    """Opens connections and keeps the device token that the gateway issued, in memory only."""

    def __init__(self, settings: OpenClawSettings) -> None:
        self._settings = settings
        self._device_token: str | None = None

    def dial(self) -> GatewayConnection:
        """Connect and do the handshake; raises `CallFailed`, whose `retry_after` (seconds) bounds the next try."""
        try:
            return self._dial(self._settings.token)
        except CallFailed as failure:
            # The shared token may have changed while the device's own is still valid: try that once.
            if failure.code != classify.WRONG_TOKEN.code or not self._device_token:
                raise
            token, self._device_token = self._device_token, None
            return self._dial(token)

    def dial_as_admin(self) -> GatewayConnection:
        """Open a short-lived second connection with administrator scopes; raises `CallFailed`.

        Without a device identity a run belongs to the connection that started it, and on another connection only an
        administrator may abort it.
        """
        if self._settings.device_key:
            raise classify.FORBIDDEN.failure()
        return self._dial(self._settings.token, ADMIN_SCOPES)

    def _dial(self, token: str, scopes: tuple[str, ...] = SCOPES) -> GatewayConnection:
        ws = self._open()
        try:
            link = GatewayConnection(ws, self._hello(ws, token, scopes), self._clean)
        except BaseException:
            ws.close()
            raise
        if not set(scopes) <= set(link.scopes):
            link.close()
            raise classify.NO_SCOPES.failure()
        self._device_token = link.device_token or self._device_token
        return link

    def _open(self) -> ClientConnection:
        try:
            opening = connect(
                socket_url(self._settings.url),
                compression=None,
                max_size=MAX_INCOMING,
                open_timeout=OPEN_SECONDS,
                close_timeout=1,
                proxy=None,
                user_agent_header=f"agentforge/{VERSION}",
            )
            ws = opening.__enter__()  # GatewayConnection closes it, because it outlives any block
        except InvalidURI as error:
            raise classify.WRONG_URL.failure() from error
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException) as error:
            raise classify.UNREACHABLE.failure(quote=type(error).__name__) from error
        _drop_dead_peers(ws.socket)
        return ws

    def _hello(self, ws: ClientConnection, token: str, scopes: tuple[str, ...]) -> Frame:
        try:
            challenge = self._receive(ws, lambda frame: frame.get("event") == "connect.challenge")
            ws.send(encode(self._introduction(challenge["payload"], token, scopes)), text=True)
            response = self._receive(ws, lambda frame: frame.get("type") == "res" and frame.get("id") == "1")
        except (ConnectionClosed, TimeoutError, OSError) as error:
            raise classify.UNREACHABLE.failure(quote=type(error).__name__) from error
        except (KeyError, TypeError, ValueError) as error:
            raise classify.WRONG_URL.failure() from error
        if not response.get("ok"):
            raise classify.connect_failure(self._clean(response.get("error") or {}))
        payload = response.get("payload")
        if not isinstance(payload, dict) or payload.get("protocol") != PROTOCOL:
            raise classify.CONNECT["PROTOCOL_MISMATCH"].failure()
        return payload

    def _receive(self, ws: ClientConnection, wanted: Callable[[Frame], bool]) -> Frame:
        for _ in range(20):
            frame: Frame = orjson.loads(ws.recv(timeout=HELLO_SECONDS, decode=False))
            if wanted(frame):
                return frame
        raise ValueError("no hello among the first frames")

    def _introduction(self, challenge: Frame, token: str, scopes: tuple[str, ...]) -> Frame:
        params: dict[str, Any] = {
            "minProtocol": PROTOCOL,
            "maxProtocol": PROTOCOL,
            "client": {"id": CALLER.client_id, "version": VERSION, "platform": CALLER.platform, "mode": CALLER.mode},
            "role": CALLER.role,
            "scopes": list(scopes),
            "caps": ["tool-events"],
            "auth": {"token": token},
            "userAgent": f"agentforge/{VERSION}",
        }
        device = self._device()
        if device is not None:
            params["device"] = device.sign(
                CALLER, nonce=str(challenge["nonce"]), signed_at=int(challenge["ts"]), token=token
            )
        return {"type": "req", "id": "1", "method": "connect", "params": params}

    def _device(self) -> Device | None:
        if not self._settings.device_key:
            return None
        try:
            return Device.load(self._settings.device_key)
        except (OSError, ValueError, TypeError) as error:
            raise CallFailed(
                "openclaw_bad_device_key", "OPENCLAW_DEVICE_KEY cannot be read as an Ed25519 key."
            ) from error

    def _clean(self, error: Frame) -> Frame:
        message = str(error.get("message", ""))
        for secret in filter(None, (self._settings.token, self._device_token)):
            message = message.replace(secret, "***")
        return {**error, "message": message}


def encode(frame: Frame) -> bytes:
    """Encode a frame as JSON; raises `CallFailed` for text with lone surrogates."""
    try:
        return orjson.dumps(frame)
    except TypeError as error:
        raise classify.NOT_TEXT.failure() from error


def socket_url(url: str) -> str:
    """The WebSocket address of a gateway; the setting may name its http:// address."""
    parts = urlsplit(url)
    return parts._replace(scheme={"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)).geturl()


def start_reader(link: GatewayConnection, on_event: OnEvent, on_end: Callable[[GatewayConnection], None]) -> None:
    """Read the connection in its own thread until it ends or a frame exceeds `MAX_INCOMING`; then call `on_end`."""

    def run() -> None:
        try:
            link.read(on_event)
        finally:
            on_end(link)
            link.close()

    threads.run_once("openclaw-reader", run)


def _drop_dead_peers(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A frozen gateway must not block a sender forever.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)
