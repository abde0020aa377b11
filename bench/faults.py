"""`make bench-faults`: what survives and what it costs, measured on real processes; ARGS="chaos resume" names some.

chaos     hundreds of runs while workers are killed at random: how many are lost, how many charged twice
resume    seconds from a kill -9 to the same run going on elsewhere, with the leases of production
inflight  memory and CPU of one worker with a thousand calls in flight
parked    what ten thousand waiting runs cost: rows, memory, sweeps
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil

from models.db import session_scope
from models.rules.pricing import Tier
from models.services import sweeps
from tests import factories
from tests.faults.deployment import running_world
from tests.faults.programs import eventually
from tests.faults.world import World

PRODUCTION = {"LEASE_SECONDS": "30", "HEARTBEAT_SECONDS": "10"}


def main() -> int:
    """Run the parts that were asked for, each in a deployment of its own; 1 when anything went wrong."""
    args = _arguments()
    bad = 0
    for name in args.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="agentforge-bench-") as folder, running_world(Path(folder)) as world:
            print(f"\n{name} (load {os.getloadavg()[0]:.1f} at its start)", flush=True)
            PARTS[name](world, args)
            wrong = world.wrongs() if name != "parked" else []
            bad += len(wrong)
            print("\n".join(wrong) or "  nothing is wrong with any run, hold or ledger entry", flush=True)
    return bool(bad)


def chaos(world: World, args: argparse.Namespace) -> None:
    """Runs come all the time, and a random worker dies every few seconds."""
    workers = [world.worker(hooked=False) for _ in range(3)]
    world.beat()
    for worker in workers:
        worker.ready()
    dice, kills = random.Random(args.seed), 0
    submitted: list[UUID] = []
    thread = threading.Thread(target=lambda: submitted.extend(_come(world, args)))
    thread.start()
    begun = time.monotonic()
    while thread.is_alive() or time.monotonic() - begun < 60 * args.minutes:
        time.sleep(dice.uniform(0.5, 1.5) * args.kill_every)
        dice.choice([worker for worker in workers if worker.alive]).kill()
        kills += 1
        workers = [worker for worker in workers if worker.alive] + [world.worker(hooked=False)]
    thread.join()
    world.finish(*submitted, seconds=600, sweep=False)
    ended = [world.run(run) for run in submitted]
    states = Counter(f"{run['status']} {(run['error'] or {}).get('code', '')}".strip() for run in ended)
    crashes = world.sql("SELECT count(*) FROM execution_events WHERE type = 'execution.resumed'")[0][0]
    wards = sum(log.read_text(errors="replace").count("ward.started") for log in world.directory.glob("worker*.log"))
    calls = world.outside.times()
    entries = world.sql(
        "SELECT count(*), count(DISTINCT execution_id) FROM credit_transactions WHERE execution_id IS NOT NULL"
    )
    _say("runs, by how they ended", dict(states))
    _say("workers killed, runs taken over, wards started", f"{kills}, {crashes}, {wards}")
    _say("lost", len(submitted) - sum(states.values()))
    _say("charged twice", entries[0][0] - entries[0][1])
    _say("calls, of these repeated under the same key", f"{sum(calls.values())}, {sum(calls.values()) - len(calls)}")
    _say("seconds, until all were over", f"{time.monotonic() - begun:.0f}")


def _come(world: World, args: argparse.Namespace) -> list[UUID]:
    owner, runs = world.user(credits=100_000, tier=Tier.ENTERPRISE), []
    for number in range(args.runs):
        nodes = [world.call(name, tag=f"c{number}", delay=0.5) for name in "zab"]
        runs.append(world.submit(nodes, "z>a", "a>b", owner=owner))
        time.sleep(60 * args.minutes / args.runs * 0.8)
    return runs


def resume(world: World, args: argparse.Namespace) -> None:
    """Kill the driver of a few runs, and look when another one says that it goes on."""
    world.beat()
    other, waits = world.worker(hooked=False, env=PRODUCTION).ready(), []
    for turn in range(args.kills):
        doomed, other = other, world.worker(hooked=False, queues="executions.high,maintenance", env=PRODUCTION).ready()
        runs = world.submit_many([world.call("a", tag=f"r{turn}", delay=8)], number=4)
        world.outside.await_call(f"r{turn}/a", times=4, seconds=60)
        killed_at = world.sql("SELECT clock_timestamp()")[0][0]
        doomed.kill()
        taker = world.worker(hooked=False, env=PRODUCTION)
        world.finish(*runs, seconds=200, sweep=False)
        rows = world.sql(
            "SELECT min(at) FROM execution_events WHERE type = 'execution.resumed' AND execution_id = ANY(%s::uuid[])"
            " GROUP BY execution_id",
            list(map(str, runs)),
        )
        waits += [(at - killed_at).total_seconds() for (at,) in rows]
        other.kill()
        other = taker
    line = f"median {statistics.median(waits):.1f}, most {max(waits):.1f}, least {min(waits):.1f}, of {len(waits)}"
    _say("seconds from kill -9 to resumed", line)


def inflight(world: World, _: argparse.Namespace) -> None:
    """Ten runs of a hundred calls each, all of them waiting for a slow server."""
    worker = world.worker(hooked=False, threads=64, env=PRODUCTION | {"NODE_THREADS": "1000"}).ready()
    process = psutil.Process(worker.pid)
    world.finish(world.submit([world.call("warm", tag="warm")]))
    idle = process.memory_info().rss
    nodes = [world.call(f"n{number}", tag="flight", delay=30) for number in range(100)]
    runs = world.submit_many(nodes, number=10, owner=world.user(credits=100_000, tier=Tier.ENTERPRISE))
    before = process.cpu_times()
    eventually(
        lambda: world.outside.most_at_once >= 1000, 120, lambda: f"{world.outside.most_at_once} at once", pause=0.2
    )
    begun, starting = time.monotonic(), process.cpu_times()
    time.sleep(10)
    held, waiting = process.memory_info().rss, process.cpu_times()
    world.finish(*runs, seconds=180)
    after = process.cpu_times()
    _say("resident MiB, idle and with 1,000 calls in flight", f"{idle / 2**20:.0f}, {held / 2**20:.0f}")
    _say("threads", process.num_threads())
    _say("CPU seconds to start them", f"{_cpu(starting) - _cpu(before):.1f}")
    _say("CPU while all of them wait", f"{100 * (_cpu(waiting) - _cpu(starting)) / (time.monotonic() - begun):.1f} %")
    _say("CPU ms for each call", f"{_cpu(after) - _cpu(before):.2f}")


def parked(world: World, args: argparse.Namespace) -> None:
    """Runs that wait for a moment an hour away."""
    worker = world.worker(hooked=False, threads=32, env=PRODUCTION).ready()
    process = psutil.Process(worker.pid)
    world.finish(world.submit([world.call("warm", tag="warm")]))
    size, rss = world.sql("SELECT pg_database_size(current_database())")[0][0], process.memory_info().rss
    begun = time.monotonic()
    wait = factories.node("w", "wait", config={"seconds": 3600})
    world.submit_many([wait], number=args.parked, owner=world.user(credits=1_000_000, tier=Tier.ENTERPRISE))
    still = "SELECT count(*) FROM workflow_executions WHERE status IN ('queued', 'running')"
    eventually(lambda: world.sweep() or world.sql(still) == [(0,)], 900, pause=1)
    took = time.monotonic() - begun
    world.sql("ANALYZE")
    grown = world.sql("SELECT pg_database_size(current_database())")[0][0] - size
    before, times = process.cpu_times(), []
    for _ in range(20):
        begun = time.monotonic()
        with session_scope() as session:
            assert not sweeps.due(session)
        times.append(time.monotonic() - begun)
    time.sleep(10)
    _say(f"seconds to submit and park {args.parked:,}", f"{took:.0f}")
    _say("bytes of the database for each", f"{grown / args.parked:.0f}")
    _say("resident MiB of the worker, before and after", f"{rss / 2**20:.0f}, {process.memory_info().rss / 2**20:.0f}")
    _say("ms for a sweep that finds nothing, median", f"{1000 * statistics.median(times):.1f}")
    _say("CPU of the worker beside them", f"{10 * (_cpu(process.cpu_times()) - _cpu(before)):.1f} %")


PARTS: dict[str, Callable[[World, argparse.Namespace], None]] = {
    "chaos": chaos,
    "resume": resume,
    "inflight": inflight,
    "parked": parked,
}


def _cpu(times: Any) -> float:
    return float(times.user + times.system)


def _say(what: str, value: object) -> None:
    print(f"  {what:52}{value}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-faults", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all of them by default")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--kill-every", type=float, default=6.0, help="seconds between two kills, on average")
    parser.add_argument("--kills", type=int, default=4, help="for `resume`, with four runs each")
    parser.add_argument("--parked", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
