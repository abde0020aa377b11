"""One user with ten thousand runs, bodies of ten megabytes, a thousand slow clients: others hardly notice."""

import http.client
import socket
import statistics
import time
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit
from uuid import UUID

import psutil
import pytest

from models.db import session_scope
from models.rules.prices.pricing import Tier
from models.services.orchestration import execution_tree
from tests.support.faults.phones import phone
from tests.support.faults.programs import Program, eventually, measured
from tests.support.faults.world import World

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
def test_a_thousand_slow_clients_are_cut_and_hardly_slow_the_others(world: World, part: str):
    api, url = world.api()
    api.ready()
    app, _ = phone(world, url, f"fast-{part}")
    slow, _ = phone(world, url, f"slow-{part}")
    world.sql("UPDATE users SET subscription_tier = 'enterprise'")
    usual = p95(latencies(app, 30))
    said = f"POST /api/workflows HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {slow.token}\r\n"
    if part == "body":
        said += "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
    with ExitStack() as held:
        clients = [held.enter_context(connected(url)) for _ in range(SLOW)]
        begun, seen, most = time.monotonic(), [], 0.0
        for client in clients:
            client.sendall(said.encode())
        while clients:
            seen += latencies(app, 5)
            assert time.monotonic() - begun < 60, f"{len(clients)} slow clients are still there"
            clients = [client for client in clients if drips(client)]
        cut = time.monotonic() - begun
    beside, most = p95(seen), max(seen)
    measured(
        f"{part}: p95 alone {usual:.3f} s, beside {SLOW} slow {beside:.3f} s, most {most:.3f} s; cut by {cut:.0f} s"
    )
    assert beside < 5  # all of them are told so at once, and a busy machine
    assert "Traceback" not in api.output


def test_a_client_that_does_not_read_responses_is_cut(world: World):
    """It sends requests and never reads: the buffers fill up, and no thread may wait for it for ever."""
    api, url = world.api()
    api.ready()
    with connected(url) as client:
        client.settimeout(0.5)
        with suppress(TimeoutError):
            while True:
                client.sendall(b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        assert lines_of(api, client) == 1
        waited = eventually(lambda: lines_of(api, client) == 0, 120, pause=0.5)
    measured(f"one who reads nothing is cut after {waited:.0f} s")
    assert "Traceback" not in api.output


def test_clients_that_never_disconnect_do_not_delay_others(world: World):
    """The server has closed each connection, and the client keeps it open."""
    api, url = world.api()
    api.ready()
    app, _ = phone(world, url, "stays")
    with ExitStack() as held:
        for _ in range(40):
            held.enter_context(connected(url)).sendall(b"GET /health/live HTTP/1.0\r\n\r\n")
        assert max(latencies(app, 20)) < 1


def connected(url: str) -> socket.socket:
    host, port = urlsplit(url).netloc.split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def lines_of(api: Program, client: socket.socket) -> int:
    """How many sockets of the API's processes lead to this client."""
    processes = psutil.Process(api.pid).children()
    lines = [line for process in processes for line in process.net_connections("tcp") if line.raddr]
    return sum(line.raddr.port == client.getsockname()[1] for line in lines)


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[18]


def latencies(app, number: int) -> list[float]:
    times = []
    for _ in range(number):
        begun = time.monotonic()
        app.call("GET", "/workflows")
        times.append(time.monotonic() - begun)
    return times


def drips(client: socket.socket) -> bool:
    """Say one letter more, unless the other side has hung up."""
    try:
        client.send(b"x")
        return client.recv(4096, socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_a_user_with_ten_thousand_runs_does_not_hold_up_another(world: World):
    world.worker(hooked=False, threads=64).ready()
    many = world.user(credits=200_000, tier=Tier.PREMIUM)
    last = world.submit_many([world.call("b", tag="flood", delay=0.5)], owner=many, number=200)[-1]
    world.sql(COPY, 9_800, last, many)
    other = world.submit([world.call("a", tag="other")], owner=world.user(tier=Tier.PREMIUM))
    world.finish(other)
    ((before, queued, waited),) = world.sql(OVERTAKEN, other, many)
    measured(f"behind {queued} runs of somebody else a run waits {waited:.1f} s, and {before} of them begin before it")
    assert queued > 9_000
    assert before <= 40  # as many as have bells in the queue
    flood = [UUID(run) for (run,) in world.sql("SELECT id FROM workflow_executions WHERE user_id = %s", many)]
    with session_scope() as session:
        execution_tree.stop(session, flood)
    world.finish(*flood)


# The last one was deferred, as all that come behind it would be; submitting them one by one takes minutes.
COPY = """
    WITH copied AS (
        INSERT INTO workflow_executions (id, user_id, workflow_id, version_id, workflow_name, status, priority,
                                         price_list, credits_cap, nodes_total, last_seq, deferred_at, start_by)
        SELECT gen_random_uuid(), user_id, workflow_id, version_id, workflow_name, status, priority,
               price_list, credits_cap, nodes_total, last_seq, deferred_at, start_by
          FROM workflow_executions, generate_series(1, %s) WHERE id = %s AND deferred_at IS NOT NULL
     RETURNING id, user_id, credits_cap, workflow_name
    ), told AS (
        INSERT INTO execution_events (execution_id, seq, type, message)
        SELECT id, 1, 'execution.queued', workflow_name || ' is queued.' FROM copied
    ), held AS (
        INSERT INTO credit_holds (execution_id, user_id, amount, status)
        SELECT id, user_id, credits_cap, 'held' FROM copied RETURNING amount
    )
    UPDATE credits SET held = held + (SELECT sum(amount) FROM held) WHERE user_id = %s
"""
OVERTAKEN = """
    SELECT count(*) FILTER (WHERE f.started_at BETWEEN o.created_at AND o.started_at),
           count(*) FILTER (WHERE f.started_at IS NULL), extract(epoch FROM max(o.started_at - o.created_at))
      FROM workflow_executions f, workflow_executions o WHERE o.id = %s AND f.user_id = %s
"""
