"""`make bench-api`: the cost of submitting a run and of reading its state, beside a minimal Flask application.

The API runs with all features: tokens, sessions, limits, holds, events, messages, logs, metrics. Both run in one
process of gunicorn with production's configuration, in alternating rounds. Machines are noisy: the ratios mean more
than the numbers, and those of CPU time (of the web process) more than those of requests per second.
"""

import argparse
import importlib
import json
import socket
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import psutil
import redis

from bench.arguments import parse
from bench.served import cpu_seconds, served, servers, users
from devstack.servers.ports import LOOPBACK
from models.db import session_scope
from models.services.executions import executions
from models.services.workflows import workflows
from models.tables import Execution, User

CONNECTIONS, REQUESTS, USERS = 8, 160, 40  # short rounds, so that noise affects all cases alike
NODES = [
    {"id": name, "type": kind, "label": name, "position": {"x": 0, "y": 0}, "config": {}}
    for name, kind in (("in", "input"), ("out", "output"))
]
GRAPH = {"nodes": NODES, "connections": [{"id": "c", "from": "in", "to": "out"}]}


@dataclass
class ApiCase:
    """Requests of one kind, and their cost: CPU and wall seconds of each."""

    name: str
    port: int
    server: psutil.Process
    requests: Sequence[bytes]
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """Run one round."""
        before, started = cpu_seconds(self.server), time.monotonic()
        share = REQUESTS // CONNECTIONS
        threads = [threading.Thread(target=self._ask, args=(index * share, share)) for index in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.wall.append((time.monotonic() - started) / REQUESTS)
        self.cpu.append((cpu_seconds(self.server) - before) / REQUESTS)

    def _ask(self, first: int, number: int) -> None:
        with socket.create_connection((LOOPBACK, self.port)) as line:
            for index in range(first, first + number):
                line.sendall(self.requests[index % len(self.requests)])
                _receive(line)


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="make bench-api", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parse(parser, {"rounds": 1}).rounds
    with (
        servers() as env,
        served(env, "bench.baselines.bare:app", "--worker-class", "gthread", "--threads", "16") as (bare, bare_process),
        served(env) as (port, api),
        served(env, "bench.baselines.through_kombu:app") as (kombu_port, kombu_api),
    ):
        ours = _prepare()
        insert = _request("POST", "/jobs", body=b'{"input": 1}')
        job = json.loads(_once(bare, insert))["id"]
        reads = [_request("GET", f"/api/executions/{run}", token) for token, _, run in ours]
        over = [_request("GET", f"/api/executions/{_ended(run)}", token) for token, _, run in ours]
        writes = [_request("POST", f"/api/workflows/{flow}/execute", token, b'{"input": 1}') for token, flow, _ in ours]
        cases = [
            ApiCase("bare Flask", bare, bare_process, [_request("GET", "/health/live")]),
            ApiCase("bare Flask, one ORM read", bare, bare_process, [_request("GET", f"/jobs/{job}")]),
            ApiCase("ours: read a queued run", port, api, reads),
            ApiCase("ours: read a run that is over", port, api, over),
            ApiCase(
                "bare Flask, ORM insert + .delay()",
                bare,
                bare_process,
                [_request("POST", "/jobs", body=b'{"input": 1}')],
            ),
            ApiCase("ours: submit a run", port, api, writes),
            ApiCase("ours: submit through kombu", kombu_port, kombu_api, writes),
        ]
        _run(cases, rounds, redis.Redis.from_url(env["REDIS_URL"]))


def _run(cases: list[ApiCase], rounds: int, broker: "redis.Redis") -> None:
    for number in range(rounds + 1):
        for case in cases:
            broker.flushall()  # counts of the limits, and task messages
            case.measure()
            if number == 0:  # the first round warms up
                case.cpu.clear()
                case.wall.clear()
    print(f"\n{'':36}{'requests/s':>11}{'CPU ms':>8}")
    for case in cases:
        print(f"{case.name:36}{1 / min(case.wall):11.0f}{1000 * statistics.median(case.cpu):8.2f}")
    nothing, read, our_read, our_over, insert, our_submit, through_kombu = cases
    pairs = (
        (our_read, read, "0.6"),
        (our_over, read, "0.6"),
        (our_read, nothing, "-"),
        (our_submit, insert, "0.8"),
        (through_kombu, insert, "0.8"),
        (through_kombu, our_submit, "-"),
    )
    for ours, other, target in pairs:
        by_cpu = statistics.median(b / a for a, b in zip(ours.cpu, other.cpu, strict=True))
        by_time = statistics.median(b / a for a, b in zip(ours.wall, other.wall, strict=True))
        print(f"{ours.name} / {other.name}: {by_cpu:.2f} by CPU, {by_time:.2f} by time (target {target})")


def _prepare() -> list[tuple[str, str, str]]:
    """Create users; return token, workflow and run of each."""
    importlib.import_module("asgi")
    found = []
    for user_id, token in users(USERS):
        with session_scope() as session:
            user = session.get_one(User, user_id)
            flow = workflows.create(session, user, name="bench", description="", graph=GRAPH, status="active")
            found.append((token, str(flow.id), str(executions.submit(session, user, flow.id, input=1).id)))
    return found


def _ended(run: str) -> str:
    """Create a cancelled run like that one."""
    with session_scope() as session:
        execution = session.get_one(Execution, UUID(run))
        owner = session.get_one(User, execution.user_id)
        other = executions.submit(session, owner, execution.workflow_id, input=1)
        return str(executions.request_cancel(session, owner, other.id).id)


def _request(method: str, path: str, token: str = "", body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: bench"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def _once(port: int, request: bytes) -> bytes:
    with socket.create_connection((LOOPBACK, port)) as line:
        line.sendall(request)
        return _receive(line)


def _receive(line: socket.socket) -> bytes:
    data = line.recv(65536)
    while b"\r\n\r\n" not in data:
        data += line.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head[9:12] in (b"200", b"202"), head
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += line.recv(65536)
    return body


if __name__ == "__main__":
    main()
