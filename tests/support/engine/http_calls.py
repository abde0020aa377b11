"""Helpers that make one HTTP call, for the tests of the gateway."""

import ssl
import threading
import time

import pytest

from models.rules.graph.effects import HttpCall, HttpResponse
from tests.support.servers.raw_server import RawServer
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.http.client import HttpGateway
from workers.gateways.http.pool import HttpPool


def send(server: RawServer, *, method: str = "GET", path: str = "/", key: str | None = None, **call) -> HttpResponse:
    """Call a server that the operator allows."""
    gateway = HttpGateway((server.authority,))
    return gateway.perform(HttpCall(method, server.url(path), **call), cancel=Cancel(), idempotency_key=key)


def failure(server: RawServer, **call) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        send(server, **call)
    return caught.value


NAMES = {"one.example": "93.184.216.34", "two.example": "93.184.216.35", "inside.example": "10.0.0.7"}


def browse(url: str, *, tls: ssl.SSLContext | None = None, **call) -> HttpResponse:
    """Call a server in the test's internet, without allowed private hosts."""
    gateway = HttpGateway(pool=HttpPool(tls=tls), resolver=lambda host, port: [NAMES[host]])
    method = call.pop("method", "GET")
    return gateway.perform(HttpCall(method, url, **call), cancel=Cancel())


def cancelled(gateway: HttpGateway, call: HttpCall, server: RawServer) -> CallFailed:
    """Cancel a call once it has reached the server, and return its error."""
    cancel, ended = Cancel(), []

    def perform() -> None:
        try:
            gateway.perform(call, cancel=cancel)
        except CallFailed as failed:
            ended.append(failed)

    thread = threading.Thread(target=perform)
    thread.start()
    for _ in range(200):
        if server.connections:
            break
        time.sleep(0.01)
    time.sleep(0.05)
    cancel.set()
    thread.join(timeout=10)  # far below the call's own 30 s
    assert ended, "the call went on"
    return ended[0]
