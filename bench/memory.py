"""`make bench-memory`: how far a worker's memory grows under runs that pass large values on, and how much it returns.

Real processes: PostgreSQL, Redis, one worker (threads pool). Ten runs at once, each of forty nodes that pass 900 KB on.
Each shape runs three times, so that a leak shows as growth between the rounds.
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

import psutil

from bench.arguments import parse
from bench.served import servers
from bench.workers import finished, new_user, node, worker
from models.db import session_scope
from models.rules.prices.pricing import Priority
from models.serialization import Json
from models.services.executions import executions
from models.services.orchestration.redelivery import TaskTarget
from models.services.workflows import workflows
from models.tables import User
from tasks.queue import enqueue_run

MIB = 1024 * 1024


class Shape(NamedTuple):
    """A way to pass a large value on: the run's input, and the expression of every node."""

    input: Json
    expression: str


ROWS = [{"id": number, "name": f"customer {number}", "note": "x" * 180} for number in range(4_000)]
SHAPES = {
    "one text, handed on": Shape("x" * 900_000, "data"),
    "one text, copied": Shape({"text": "x" * 900_000}, "{text: data.text}"),
    "4,000 rows, handed on": Shape(ROWS, "data"),
    "4,000 rows, copied": Shape(ROWS, "[...data]"),
}


def main() -> None:
    """Run every shape and print one table."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--nodes", type=int, default=40, help="copies in more of them are too much for one run")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rest", type=float, default=15.0, help="seconds to give memory back in, after each round")
    parser.add_argument("shapes", nargs="*", default=list(SHAPES), help="some of the shapes, by their names")
    args = parse(parser, {"nodes": 5, "runs": 2, "rounds": 1, "rest": 0.5})
    print(f"MiB of a worker's memory; {args.runs} runs at once, of {args.nodes} nodes each")
    print(f"{'':26}{'before':>8}{'peak':>8}{'after':>8}{'seconds':>9}")
    with servers() as env:
        user_id = new_user()
        for name in args.shapes:
            _measure(env, user_id, name, args)


def _measure(env: dict[str, str], user_id: UUID, name: str, args: argparse.Namespace) -> None:
    shape = SHAPES[name]
    graph = _graph(shape, args.nodes)
    with worker(env, "celery_config:app", "executions.high") as process:
        _run(user_id, _graph(Shape(1, "data"), 5), 1, 20)  # warms up connections and threads
        for number in range(args.rounds):
            before, peak = _rss(process), Peak(process)
            started = time.monotonic()
            _run(user_id, graph, shape.input, args.runs, peak.look)
            seconds = time.monotonic() - started
            until = time.monotonic() + args.rest
            while time.monotonic() < until:
                peak.look()
                time.sleep(0.05)
            label = name if number == 0 else "  again"
            print(f"{label:26}{before:8.0f}{peak.most:8.0f}{_rss(process):8.0f}{seconds:9.1f}", flush=True)


class Peak:
    """The largest memory seen."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.most = 0.0

    def look(self) -> None:
        """Take one sample."""
        self.most = max(self.most, _rss(self._process))


def _rss(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / MIB


def _run(user_id: UUID, graph: Json, run_input: Json, runs: int, look: Callable[[], None] = lambda: None) -> None:
    with session_scope() as session:
        owner = session.get_one(User, user_id)
        workflow = workflows.create(session, owner, name="bench", description="", graph=graph, status="active")
    ids = []
    with session_scope() as session:
        owner = session.get_one(User, user_id)
        for _ in range(runs):
            run = executions.submit(session, owner, workflow.id, input=run_input, max_credits=None, priority=None)
            ids.append(run.id)
            enqueue_run(session, TaskTarget(run.id, Priority.HIGH, workflow.id))
    while not finished(ids):
        look()
        time.sleep(0.02)


def _graph(shape: Shape, length: int) -> Json:
    names = [f"n{index}" for index in range(length)]
    connections = [{"id": f"{a}-{b}", "from": a, "to": b} for a, b in itertools.pairwise(names)]
    return {"nodes": [node(name, shape.expression) for name in names], "connections": connections}


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
