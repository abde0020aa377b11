"""A client of the OpenClaw gateway that sends raw frames."""

import json
from typing import Any

from websockets.sync.client import ClientConnection

HELLO = {
    "minProtocol": 4,
    "maxProtocol": 4,
    "client": {"id": "gateway-client", "version": "0.1.0", "platform": "linux", "mode": "backend"},
    "role": "operator",
    "scopes": ["operator.read", "operator.write"],
    "caps": ["tool-events"],
    "auth": {"token": "development-token"},
}


class Client:
    """Raw frames."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.events: list[dict[str, Any]] = []

    def send(self, request_id: str, method: str, **params: Any) -> None:
        self.ws.send(json.dumps({"type": "req", "id": request_id, "method": method, "params": params}))

    def receive(self, request_id: str, timeout: float = 5.0) -> dict[str, Any]:
        while True:
            frame = json.loads(self.ws.recv(timeout=timeout))
            if frame["type"] == "res" and frame["id"] == request_id:
                return frame
            self.events.append(frame)

    def call(self, request_id: str, method: str, **params: Any) -> dict[str, Any]:
        self.send(request_id, method, **params)
        return self.receive(request_id)

    def agent(self, request_id: str, key: str, message: str, **more: Any) -> dict[str, Any]:
        session = more.pop("session", f"agent:flow:test:{key}")
        params = {"agentId": "flow", "sessionKey": session, "deliver": False, "timeout": 5, **more}
        return self.call(request_id, "agent", message=message, idempotencyKey=key, **params)


def detail(frame: dict[str, Any]) -> str | None:
    return frame["error"].get("details", {}).get("code")
