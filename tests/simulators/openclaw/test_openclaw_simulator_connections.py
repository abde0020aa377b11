"""The simulator greets, refuses and leaves its clients as the gateway does."""

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from simulators.openclaw import Simulator, running_simulator
from tests.support.engine.openclaw_frames import HELLO, Client, detail


def greet(simulator: Simulator, **changes: Any) -> dict[str, Any]:
    with connect(simulator.url, compression=None) as ws:
        assert json.loads(ws.recv())["event"] == "connect.challenge"
        return Client(ws).call("1", "connect", **{**HELLO, **changes})


def test_the_hello_names_the_process_and_the_rights(simulator: Simulator) -> None:
    hello = greet(simulator)["payload"]
    assert (hello["type"], hello["protocol"], hello["server"]["bootId"]) == ("hello-ok", 4, simulator.boot_id)
    assert hello["auth"]["scopes"] == HELLO["scopes"]


@pytest.mark.parametrize(
    ("changes", "code", "details"),
    [
        ({"auth": {"token": "wrong"}}, "INVALID_REQUEST", "AUTH_TOKEN_MISMATCH"),
        ({"auth": {}}, "NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED"),
        ({"minProtocol": 3, "maxProtocol": 3}, "INVALID_REQUEST", "PROTOCOL_MISMATCH"),
        ({"client": {**HELLO["client"], "id": "agentforge"}}, "INVALID_REQUEST", None),
    ],
)
def test_a_bad_hello_is_refused(simulator: Simulator, changes: dict[str, Any], code: str, details: str | None) -> None:
    frame = greet(simulator, **changes)
    assert (frame["error"]["code"], detail(frame)) == (code, details)


def test_without_rights_every_call_is_refused() -> None:
    with running_simulator(remote=True) as simulator, connect(simulator.url, compression=None) as ws:
        client = Client(ws)
        assert client.call("1", "connect", **HELLO)["payload"]["auth"]["scopes"] == []
        frame = client.agent("2", "k-no-scope", "hi")
        assert (frame["error"]["code"], detail(frame)) == ("FORBIDDEN", "MISSING_SCOPE")


def test_a_first_frame_that_is_no_hello_ends_the_connection(simulator: Simulator) -> None:
    with connect(simulator.url, compression=None) as ws:
        client = Client(ws)
        assert not client.call("1", "agent", message="hi")["ok"]
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=2)


def test_a_long_frame_before_the_hello_ends_the_connection(simulator: Simulator) -> None:
    with connect(simulator.url, compression=None) as ws:
        Client(ws).send("1", "connect", **HELLO, padding="x" * 65_536)
        assert json.loads(ws.recv(timeout=5))["event"] == "connect.challenge"
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=5)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1009


def test_frames_are_not_compressed(simulator: Simulator) -> None:
    with connect(f"{simulator.url}/any/path", compression="deflate") as ws:
        assert ws.response
        assert "Sec-WebSocket-Extensions" not in ws.response.headers


@pytest.mark.parametrize("welcome", [True, False])
def test_a_killed_gateway_says_no_goodbye(welcome: bool) -> None:
    with running_simulator(downtime=0.05) as simulator, connect(simulator.url, compression=None) as ws:
        client = Client(ws)
        if welcome:
            client.call("1", "connect", **HELLO)
        simulator.restart()
        with pytest.raises(ConnectionClosed) as closed:
            client.receive("2")
        assert closed.value.rcvd is None
