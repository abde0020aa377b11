import socket

import pytest

from tests.gateways.raw_server import Internet


@pytest.fixture
def internet(monkeypatch) -> Internet:
    """Every connection goes through it; nothing leaves this machine."""
    found = Internet()
    monkeypatch.setattr(socket.socket, "connect", lambda sock, address: found.connect(sock, address))
    return found
