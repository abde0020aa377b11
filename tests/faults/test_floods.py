"""One user with ten thousand runs, bodies of ten megabytes, a thousand slow clients: others hardly notice."""

import http.client
import socket
import statistics
import time
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest

from models.rules.pricing import Tier
from tests.faults.programs import measured
from tests.faults.test_broker import phone
from tests.faults.world import World

pytestmark = pytest.mark.faults
SLOW = 1_000


def test_a_body_of_ten_megabytes_is_refused(world: World):
    api, url = world.api()
    api.ready()
    app, workflow = phone(world, url, "large")
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    headers = {"Authorization": f"Bearer {app.token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", f"/api/workflows/{workflow}/execute", b"x" * 10_000_000, headers)
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        assert connection.getresponse().status == 413  # it did not wait for the rest
    finally:
        connection.close()
    assert world.sql("SELECT count(*) FROM workflow_executions WHERE workflow_id = %s", workflow) == [(0,)]


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_thousand_slow_clients_hardly_slow_the_others(world: World, part: str):
    """It is the proxy that cuts them off (`deploy/nginx.conf`, ten seconds); gunicorn itself only bears them."""
    api, url = world.api()
    api.ready()
    app, _ = phone(world, url, f"fast-{part}")
    slow, _ = phone(world, url, f"slow-{part}")
    world.sql("UPDATE users SET subscription_tier = 'enterprise'")
    alone = latencies(app, 30)
    host, port = urlsplit(url).netloc.split(":")
    begun = f"POST /api/workflows HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {slow.token}\r\n"
    if part == "body":
        begun += "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
    with ExitStack() as held:
        clients = []
        for _ in range(SLOW):
            client = held.enter_context(socket.create_connection((host, int(port)), timeout=20))
            client.sendall(begun.encode())
            clients.append(client)
        started, seen = time.monotonic(), []
        while time.monotonic() - started < 15:
            seen += latencies(app, 5)
            for client in clients:
                drip(client)
        beside = statistics.quantiles(seen, n=20)[18]
        usual = statistics.quantiles(alone, n=20)[18]
        measured(f"{part}: p95 alone {1000 * usual:.0f} ms, beside {SLOW} slow {1000 * beside:.0f} ms")
        assert beside < 2
    assert latencies(app, 1)[0] < 10  # a thousand broken requests at once


def latencies(app, number: int) -> list[float]:
    times = []
    for _ in range(number):
        begun = time.monotonic()
        app.call("GET", "/workflows")
        times.append(time.monotonic() - begun)
    return times


def drip(client: socket.socket) -> None:
    with suppress(OSError):
        client.sendall(b"x")


def test_a_user_with_a_thousand_runs_does_not_hold_up_another(world: World):
    world.worker(hooked=False, threads=64).ready()
    flood = world.submit_many([world.call("b", tag="flood", delay=0.5)], number=1000)
    begun = time.monotonic()
    other = world.submit([world.call("a", tag="other")], owner=world.user(tier=Tier.PREMIUM))
    world.outside.await_call("other/a", seconds=60)
    waited = time.monotonic() - begun
    measured(f"behind 1,000 runs of somebody else a run waits {waited:.1f} s")
    assert waited < 20
    world.finish(other)
    world.sql(
        "UPDATE workflow_executions SET cancel_requested_at = now() WHERE id = ANY(%s::uuid[])", list(map(str, flood))
    )
    world.finish(*flood, seconds=180)
