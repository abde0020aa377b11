import socket
from collections.abc import Iterator

import pytest

from simulators.openclaw import Simulator, running_simulator
from tests.support.engine.openclaw_case import socket_driver
from tests.support.servers.raw_server import Internet
from workers.gateways.openclaw.ws import SocketOpenClaw


@pytest.fixture
def internet(monkeypatch) -> Internet:
    """Every connection goes through it; nothing leaves this machine."""
    found = Internet()
    monkeypatch.setattr(socket.socket, "connect", lambda sock, address: found.connect(sock, address))
    return found


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """One for the module; a test that does lasting harm starts its own."""
    with running_simulator(delay=0.02, orphan_delay=0.6, downtime=0.2) as simulator:
        yield simulator


@pytest.fixture
def driver(simulator: Simulator) -> Iterator[SocketOpenClaw]:
    driver = socket_driver(simulator)
    yield driver
    driver.close()
