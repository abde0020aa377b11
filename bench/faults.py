"""`make bench-faults`: survival of faults and its cost, measured on real processes; ARGS="chaos resume" selects parts.

chaos     hundreds of runs while workers are killed at random: how many are lost, how many are charged twice
resume    seconds from a kill -9 to the same run going on elsewhere, with the leases of production
inflight  memory and CPU of one worker with a thousand calls in flight
parked    the cost of ten thousand waiting runs: rows, memory, sweeps
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

from bench.arguments import parse
from models.db import session_scope
from models.rules.prices.pricing import Tier
from models.services.orchestration import redelivery
from tests.support import factories
from tests.support.faults.deployment import running_world
from tests.support.faults.programs import eventually
from tests.support.faults.world import World


def main() -> int:
    """Run the selected parts, each in its own deployment; return 1 when anything went wrong."""
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
    """Submit runs all the time while a random worker is killed every few seconds."""
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
    isolated = _isolated(world)
    calls = world.outside.times()
    entries = world.sql(
        "SELECT count(*), count(DISTINCT execution_id) FROM credit_transactions WHERE execution_id IS NOT NULL"
    )
    _say("runs, by how they ended", dict(states))
    _say("workers killed, runs taken over, isolated processes", f"{kills}, {crashes}, {isolated}")
    _say("lost", len(submitted) - sum(states.values()))
    _say("charged twice", entries[0][0] - entries[0][1])
    _say("calls, of these repeated under the same key", f"{sum(calls.values())}, {sum(calls.values()) - len(calls)}")
    _say("seconds, until all were over", f"{time.monotonic() - begun:.0f}")


def _isolated(world: World) -> int:
    """The number of isolated processes that were started."""
    logs = (log.read_text(errors="replace") for log in world.directory.glob("worker*.log"))
    return sum(log.count("isolation.started") for log in logs)


def _come(world: World, args: argparse.Namespace) -> list[UUID]:
    owner, runs = world.user(credits=100_000, tier=Tier.ENTERPRISE), []
    for number in range(args.runs):
        nodes = [world.call(name, tag=f"c{number}", delay=0.5) for name in "zab"]
        runs.append(world.submit(nodes, "z>a", "a>b", owner=owner))
        time.sleep(60 * args.minutes / args.runs * 0.8)
    return runs


def resume(world: World, args: argparse.Namespace) -> None:
    """Kill the driver of a few runs and measure when another one resumes them."""
    world.beat()
    leases, waits = _leases(args), []
    other = world.worker(hooked=False, env=leases).ready()
    for turn in range(args.kills):
        doomed, other = other, world.worker(hooked=False, queues="executions.high,maintenance", env=leases).ready()
        runs = world.submit_many([world.call("a", tag=f"r{turn}", delay=8)], number=4)
        world.outside.await_call(f"r{turn}/a", times=4, seconds=60)
        killed_at = world.sql("SELECT clock_timestamp()")[0][0]
        doomed.kill()
        taker = world.worker(hooked=False, env=leases)
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


def inflight(world: World, args: argparse.Namespace) -> None:
    """Run ten executions of many calls each, all of which wait for a slow server."""
    calls = args.calls
    worker = world.worker(hooked=False, threads=64, env=_leases(args)).ready()
    process = psutil.Process(worker.pid)
    world.finish(world.submit([world.call("warm", tag="warm")]))
    idle = process.memory_info().rss
    nodes = [world.call(f"n{number}", tag="flight", delay=args.delay) for number in range(calls // 10)]
    runs = world.submit_many(nodes, number=10, owner=world.user(credits=100_000, tier=Tier.ENTERPRISE))
    before = process.cpu_times()
    eventually(
        lambda: world.outside.max_at_once >= calls, 120, lambda: f"{world.outside.max_at_once} at once", pause=0.2
    )
    begun, starting = time.monotonic(), process.cpu_times()
    time.sleep(args.delay / 3)
    held, waiting, waited = process.memory_info().rss, process.cpu_times(), time.monotonic() - begun
    world.finish(*runs, seconds=180)
    after = process.cpu_times()
    _say(f"resident MiB, idle and with {calls:,} calls in flight", f"{idle / 2**20:.0f}, {held / 2**20:.0f}")
    _say("threads", process.num_threads())
    _say("CPU seconds to start them", f"{_cpu(starting) - _cpu(before):.1f}")
    _say("CPU while all of them wait", f"{100 * (_cpu(waiting) - _cpu(starting)) / waited:.1f} %")
    _say("CPU ms for each call", f"{1000 * (_cpu(after) - _cpu(before)) / calls:.2f}")


def parked(world: World, args: argparse.Namespace) -> None:
    """Park runs that wait for a time an hour away."""
    worker = world.worker(hooked=False, threads=32, env=_leases(args)).ready()
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
            assert not redelivery.stalled(session)
        times.append(time.monotonic() - begun)
    time.sleep(args.delay / 3)
    share = 100 * (_cpu(process.cpu_times()) - _cpu(before)) / (time.monotonic() - begun)
    _say(f"seconds to submit and park {args.parked:,}", f"{took:.0f}")
    _say("bytes of the database for each", f"{grown / args.parked:.0f}")
    _say("resident MiB of the worker, before and after", f"{rss / 2**20:.0f}, {process.memory_info().rss / 2**20:.0f}")
    _say("ms for a sweep that finds nothing, median", f"{1000 * statistics.median(times):.1f}")
    _say("CPU of the worker beside them", f"{share:.1f} %")


PARTS: dict[str, Callable[[World, argparse.Namespace], None]] = {
    "chaos": chaos,
    "resume": resume,
    "inflight": inflight,
    "parked": parked,
}


def _leases(args: argparse.Namespace) -> dict[str, str]:
    return {"LEASE_SECONDS": str(args.lease), "HEARTBEAT_SECONDS": str(args.lease // 3)}


def _cpu(times: Any) -> float:
    return float(times.user + times.system)


def _say(what: str, value: object) -> None:
    print(f"  {what:52}{value}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-faults", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all of them by default")
    parser.add_argument("--lease", type=int, default=30, help="seconds, as in production; for all but `chaos`")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--kill-every", type=float, default=6.0, help="seconds between two kills, on average")
    parser.add_argument("--kills", type=int, default=4, help="for `resume`, with four runs each")
    parser.add_argument("--calls", type=int, default=1000, help="for `inflight`")
    parser.add_argument("--delay", type=float, default=30.0, help="seconds that each of these takes")
    parser.add_argument("--parked", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    chaos_in_short = {"runs": 12, "minutes": 0.1, "kill_every": 2.0}
    return parse(parser, chaos_in_short | {"lease": 3, "kills": 1, "calls": 50, "delay": 3.0, "parked": 50})


if __name__ == "__main__":
    sys.exit(main())
