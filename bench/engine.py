"""`make bench`: what the engine costs beside a bare one that only drives (`bench.baselines.bare_engine`), in one run.

Real processes: PostgreSQL with fsync, Redis, two workers of each engine (threads pool), a server that takes 50 ms for
an answer. The two take turns, so that both meet the same machine; machines are noisy, and the ratios mean more than the
numbers. Time runs from the first task message to the last run that is over; CPU is that of the workers.
"""

import argparse
import importlib
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import orjson
import psutil
from sqlalchemy import select, text

from bench.arguments import parse
from bench.served import running, servers, until_ready
from bench.workers import cpu_seconds, finished, http_call, new_user, no_op, worker
from devstack.servers.ports import LOOPBACK, free_port
from models.db import session_scope
from models.rules.prices.pricing import Priority
from models.serialization import Json
from models.services.executions import executions
from models.services.orchestration.redelivery import TaskTarget
from models.services.workflows import workflows
from models.tables import Execution, User
from tasks.queue import enqueue_run

CALL_MS, CHAIN_CALL_MS = 50, 10
CHAIN = 40
OURS, BARE = "ours", "bare"
QUEUES = "executions.high,executions.normal,executions.low"
MIB = 1024 * 1024


class Measured(NamedTuple):
    """Wall and worker CPU seconds of a number of nodes in a number of runs."""

    runs: int
    nodes: int
    wall: float
    cpu: float

    def __add__(self, other: Any) -> "Measured":
        return Measured(*(one + more for one, more in zip(self, other, strict=True)))

    @property
    def runs_per_second(self) -> float:
        return self.runs / self.wall

    @property
    def cpu_ms(self) -> float:
        """Of one node."""
        return 1000 * self.cpu / self.nodes


class Engine(NamedTuple):
    """How to give runs to one of the two, and its workers."""

    submit: Callable[[Json, int], list[UUID]]
    start: Callable[[list[UUID]], None]
    is_over: Callable[[list[UUID]], bool]
    workers: list[psutil.Process]

    def measure(self, graph: Json, runs: int) -> Measured:
        """Let it drive so many runs of a graph."""
        submitted = self.submit(graph, runs)
        before, started = cpu_seconds(self.workers), time.monotonic()
        self.start(submitted)
        while not self.is_over(submitted):
            time.sleep(0.005)
        wall = time.monotonic() - started
        return Measured(runs, runs * len(graph["nodes"]), wall, cpu_seconds(self.workers) - before)


def main() -> int:
    """Measure, print, and keep the numbers where they were asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--no-op", type=int, default=300, help="runs of ten nodes that do nothing, in each round")
    parser.add_argument("--http", type=int, default=200, help="runs of ten calls, in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=1000, help="calls at a time in one worker")
    parser.add_argument("--json", type=Path, help="a file for the numbers")
    args = parse(parser, {"no_op": 20, "http": 20, "rounds": 1, "in_flight": 100})
    with servers() as env, slow_server(env) as port:
        env["EGRESS_ALLOW"] = f"{LOOPBACK}:{port}"
        numbers = _side_by_side(env, port, args) | {"in_flight": _in_flight(env, port, args.in_flight)}
    if args.json:
        args.json.write_bytes(orjson.dumps(numbers, option=orjson.OPT_INDENT_2) + b"\n")
    return 0


def _side_by_side(env: dict[str, str], port: int, args: argparse.Namespace) -> dict[str, Json]:
    call = f"http://{LOOPBACK}:{port}/"
    graphs = {
        "10-node diamond, no-op": (diamond(no_op), args.no_op, args.rounds),
        f"10-node diamond, HTTP of {CALL_MS} ms": (
            diamond(lambda name: http_call(name, f"{call}{CALL_MS}")),
            args.http,
            args.rounds,
        ),
        f"one chain of {CHAIN}, no-op": (_chain(no_op), 1, 3 * args.rounds),
        f"one chain of {CHAIN}, HTTP of {CHAIN_CALL_MS} ms": (
            _chain(lambda name: http_call(name, f"{call}{CHAIN_CALL_MS}")),
            1,
            3 * args.rounds,
        ),
    }
    numbers: dict[str, Json] = {}
    print(f"\n{'':36}{'runs/s':>9}{'bare':>8}{'ratio':>7}{'CPU ms/node':>14}{'bare':>7}{'ms/run':>9}{'bare':>8}")
    with engines(env) as found:
        for graph, _, _ in graphs.values():  # warm: connections, threads, the compiled graph
            for engine in found.values():
                engine.measure(graph, 20)
        for name, (graph, runs, rounds) in graphs.items():
            took = {engine: [found[engine].measure(graph, runs)] for engine in (BARE, OURS)}
            for _ in range(rounds - 1):
                for engine, measured in took.items():
                    measured.append(found[engine].measure(graph, runs))
            numbers[name] = _printed(name, took)
    return numbers


def _printed(name: str, took: dict[str, list[Measured]]) -> dict[str, Json]:
    """Print one line; answers its numbers."""
    ours, bare = (sum(took[engine][1:], took[engine][0]) for engine in (OURS, BARE))
    numbers = {
        engine: {
            "runs_per_second": total.runs_per_second,
            "cpu_ms_per_node": total.cpu_ms,
            "ms_per_run": 1000 * total.wall / total.runs,
            "rounds_runs_per_second": [measured.runs_per_second for measured in took[engine]],
        }
        for engine, total in ((OURS, ours), (BARE, bare))
    }
    ratio = ours.runs_per_second / bare.runs_per_second
    rates = f"{ours.runs_per_second:9.1f}{bare.runs_per_second:8.1f}{ratio:7.2f}"
    each = f"{1000 * ours.wall / ours.runs:9.1f}{1000 * bare.wall / bare.runs:8.1f}"
    print(f"{name:36}{rates}{ours.cpu_ms:14.2f}{bare.cpu_ms:7.2f}{each}", flush=True)
    return numbers


def _in_flight(env: dict[str, str], port: int, calls: int) -> dict[str, float]:
    """Memory of one fresh worker that waits for so many answers at once, in MiB."""
    seconds = 5 + calls // 50
    with worker(env, "celery_config:app", QUEUES) as process:
        engine = our_engine([process])
        engine.measure(_wide(10, f"http://{LOOPBACK}:{port}/1"), 1)
        idle = process.memory_info().rss / MIB
        submitted = engine.submit(_wide(calls // 10, f"http://{LOOPBACK}:{port}/{1000 * seconds}"), 10)
        before, started = cpu_seconds([process]), time.monotonic()
        engine.start(submitted)
        while (waiting := _waiting(port)) < calls and time.monotonic() < started + seconds:
            time.sleep(0.1)
        took, held = time.monotonic() - started, process.memory_info().rss / MIB
        cpu, threads = cpu_seconds([process]) - before, process.num_threads()
        while not engine.is_over(submitted):
            time.sleep(0.1)
    print(
        f"\n{waiting} of {calls} calls in flight in one worker process after {took:.1f} s and {cpu:.1f} s of CPU:"
        f" {held:.0f} MiB in {threads} threads, {idle:.0f} MiB without them"
    )
    return {"calls": waiting, "mib": held, "idle_mib": idle, "threads": threads, "seconds": took, "cpu": cpu}


@contextmanager
def engines(env: dict[str, str]) -> Iterator[dict[str, Engine]]:
    """Both, with two workers each."""
    with session_scope() as session:
        session.execute(text(importlib.import_module("bench.baselines.bare_engine").TABLES))
    with ExitStack() as stack:
        bare = [stack.enter_context(worker(env, "bench.baselines.bare_engine:app", "bare")) for _ in range(2)]
        ours = [stack.enter_context(worker(env, "celery_config:app", QUEUES)) for _ in range(2)]
        yield {BARE: Engine(_submit_bare, _start_bare, _bare_is_over, bare), OURS: our_engine(ours)}


def our_engine(workers: list[psutil.Process]) -> Engine:
    """Ours, for users of its own."""
    users = [new_user() for _ in range(4)]  # more runs than one may have at a time
    return Engine(lambda graph, runs: _submit(users, graph, runs), _start, finished, workers)


@contextmanager
def slow_server(env: dict[str, str]) -> Iterator[int]:
    """A `bench.clients.slow_server`: its port."""
    port = free_port()
    with running([sys.executable, "-m", "bench.clients.slow_server", str(port)], env):
        until_ready(port, "/open")
        yield port


def _waiting(port: int) -> int:
    connection = HTTPConnection(LOOPBACK, port, timeout=10)
    connection.request("GET", "/open")
    return int(connection.getresponse().read())


def _submit(users: list[UUID], graph: Json, runs: int) -> list[UUID]:
    submitted = []
    for user_id, share in zip(users, _shares(runs, len(users)), strict=True):
        with session_scope() as session:
            owner = session.get_one(User, user_id)
            workflow = workflows.create(session, owner, name="bench", description="", graph=graph, status="active")
        with session_scope() as session:
            owner = session.get_one(User, user_id)
            submitted += [executions.submit(session, owner, workflow.id).id for _ in range(share)]
    return submitted


def _shares(runs: int, users: int) -> list[int]:
    return [runs // users + (number < runs % users) for number in range(users)]


def _start(submitted: list[UUID]) -> None:
    with session_scope() as session:
        found = select(Execution.id, Execution.workflow_id).where(Execution.id.in_(submitted))
        for execution_id, workflow_id in session.execute(found):
            enqueue_run(session, TaskTarget(execution_id, Priority.HIGH, workflow_id))


def _submit_bare(graph: Json, runs: int) -> list[UUID]:
    submitted = [uuid4() for _ in range(runs)]
    rows = [{"id": run_id, "graph": orjson.dumps(graph).decode()} for run_id in submitted]
    with session_scope() as session:
        session.execute(text("INSERT INTO bare_runs VALUES (:id, CAST(:graph AS jsonb), 'queued', 0)"), rows)
    return submitted


def _start_bare(submitted: list[UUID]) -> None:
    run = importlib.import_module("bench.baselines.bare_engine").run
    for run_id in submitted:
        run.delay(str(run_id))


def _bare_is_over(submitted: list[UUID]) -> bool:
    left = text("SELECT NOT EXISTS (SELECT FROM bare_runs WHERE id = ANY(:ids) AND status <> 'success')")
    with session_scope() as session:
        return bool(session.scalar(left, {"ids": submitted}))


def diamond(node: Callable[[str], Json]) -> Json:
    """A graph of ten nodes, eight of them side by side."""
    middle = [f"m{index}" for index in range(8)]
    pairs = [("first", name) for name in middle] + [(name, "last") for name in middle]
    return _graph(node, ["first", *middle, "last"], pairs)


def _chain(node: Callable[[str], Json]) -> Json:
    names = [f"n{index}" for index in range(CHAIN)]
    return _graph(node, names, list(itertools.pairwise(names)))


def _wide(calls: int, url: str) -> Json:
    return _graph(lambda name: http_call(name, url), [f"n{index}" for index in range(calls)], [])


def _graph(node: Callable[[str], Json], names: list[str], pairs: list[tuple[str, str]]) -> Json:
    connections = [{"id": f"{a}-{b}", "from": a, "to": b} for a, b in pairs]
    return {"nodes": [node(name) for name in names], "connections": connections}


if __name__ == "__main__":
    sys.exit(main())
