"""`make rolling-demo`: replace every process of the service under load, with no failed request and no lost run.

Three APIs behind a real nginx and two workers that drive runs, on one machine. Each is replaced by a new process while
users run workflows, long-poll and list. The exit status is 1 if a request failed or a run was lost or repeated.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from bench.arguments import parse
from bench.drills import services
from bench.drills.balancer import Balancer, program
from bench.drills.clients import Clients, Requests
from bench.drills.progress import say
from bench.drills.services import Service
from bench.served import percentile, servers
from bench.soak.drift import query, unfinished
from bench.soak.traffic import make_users
from devstack.processes.process import DevstackError
from devstack.run_audit import wrongs
from devstack.servers.ports import LOOPBACK, free_port
from simulators.openclaw import running_simulator

APIS = 3
LEAVE_SECONDS = 1.0  # between nginx's reload and SIGTERM, in which its old workers pass on what they have
KEPT = 3  # connections to an API that ends
DRAIN_SECONDS = 40.0  # gunicorn's graceful_timeout, and more


@dataclass
class Deployment:
    """The processes, and nginx before the APIs."""

    balancer: Balancer
    apis: dict[int, Service]
    driving: list[Service]
    others: list[Service]

    @property
    def all(self) -> list[Service]:
        """Everything but nginx."""
        return [*self.apis.values(), *self.driving, *self.others]

    def replace_api(self, port: int) -> tuple[int, float]:
        """Replace the API at `port`; return its readiness while it drained, and the seconds until the new one is."""
        api, begun = self.apis[port], time.monotonic()
        self.balancer.leave_out(port)
        time.sleep(LEAVE_SECONDS)
        kept = [HTTPConnection(LOOPBACK, port, timeout=5) for _ in range(KEPT)]
        for line in kept:
            services.readiness(port, line)
        api.terminate()
        draining = _draining(port, kept)
        _ended(api)
        api.start()
        self.balancer.leave_out()
        return draining, time.monotonic() - begun


def _draining(port: int, kept: list[HTTPConnection]) -> int:
    """What a balancer with kept connections is told: the last status that came.

    The response to a request that was under way at the signal may still be 200, and is the last of its connection.
    """
    told, deadline = 0, time.monotonic() + DRAIN_SECONDS
    for line in kept:
        while (status := services.readiness(port, line)) == 200 and time.monotonic() < deadline:
            told = status
            time.sleep(0.02)
        if status:
            return status
    return told


def _ended(service: Service) -> None:
    if (status := service.wait()) != 0:
        raise DevstackError(f"{service.name} did not end by itself, or with status {status}.")


@contextmanager
def deployed(directory: Path, env: Mapping[str, str]) -> Iterator[Deployment]:
    """Run everything for the block."""
    ports = [free_port() for _ in range(APIS)]
    driving, others = services.workers(env, directory)
    with Balancer(directory / "nginx", ports) as balancer:
        apis = {port: services.api(port, env, directory) for port in ports}
        deployment = Deployment(balancer, apis, driving, others)
        try:
            for service in deployment.all:
                service.start()
            yield deployment
        finally:
            for service in deployment.all:
                service.terminate()
            for service in deployment.all:
                service.wait()


def main() -> int:
    """Run the demo and print its figures."""
    args = _arguments()
    try:
        program()
    except DevstackError as error:
        say(f"Skipped: {error}")
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="agentforge-rolling-", ignore_cleanup_errors=True) as folder,
        running_simulator(delay=0.05) as openclaw,
        servers() as env,
    ):
        gateway = {"OPENCLAW_URL": openclaw.url, "OPENCLAW_TOKEN": openclaw.token, "OPENCLAW_MAX_IN_FLIGHT": "3"}
        proxied = {"PROXY_HOPS": "1", "PYTHONWARNINGS": "ignore"}
        with deployed(Path(folder), env | gateway | proxied) as deployment:
            return _demo(deployment, env["DATABASE_URL"], args)


def _demo(deployment: Deployment, database: str, args: argparse.Namespace) -> int:
    clients = Clients(make_users(deployment.balancer.url(), args.users))
    begun, drained = time.monotonic(), []
    try:
        time.sleep(args.pause)
        for _ in range(args.rounds):
            for port in deployment.apis:
                status, taken = deployment.replace_api(port)
                drained.append(status)
                say(f"An API is replaced after {taken:.1f} s; while it drained its readiness was {status}.")
                time.sleep(args.pause)
            for worker in deployment.driving:
                _replace_worker(worker)
                time.sleep(args.pause)
    finally:
        clients.stop()
    lasted = time.monotonic() - begun
    _settle(database)
    return _print(database, clients.seen, lasted, drained)


def _replace_worker(worker: Service) -> None:
    begun = time.monotonic()
    worker.terminate()
    _ended(worker)
    worker.start()
    say(f"{worker.name} is replaced after {time.monotonic() - begun:.1f} s; the other went on with its runs.")


def _settle(database: str) -> None:
    deadline = time.monotonic() + 120
    while unfinished(database) and time.monotonic() < deadline:
        time.sleep(0.2)


def _print(database: str, seen: Requests, lasted: float, drained: list[int]) -> int:
    ended = {str(row[0]) for row in query(database, "SELECT id FROM workflow_executions WHERE status = 'success'")}
    lost = [run for run in seen.runs if run not in ended]
    taken_over = query(database, "SELECT count(*) FROM workflow_executions WHERE epoch > 1")[0][0]
    problems = wrongs(database)
    times = {part: percentile(seen.seconds, part) * 1000 for part in (0.5, 0.99)}
    rows = [
        ("seconds of load", f"{lasted:.0f}"),
        ("processes replaced", f"{len(drained)} of the API, {len(drained) * 2 // APIS} workers"),
        ("readiness of an API that drains", ", ".join(sorted({str(status) for status in drained}))),
        ("requests", len(seen.seconds)),
        ("failed requests", f"{len(seen.failures)} {sorted(set(seen.failures)) or ''}"),
        ("runs", len(seen.runs)),
        ("runs that another worker went on with", taken_over),
        ("lost runs", len(lost)),
        ("violated invariants", f"{len(problems)} {problems[:3] or ''}"),
        ("milliseconds of a request, long polls included", f"median {times[0.5]:.0f}, p99 {times[0.99]:.0f}"),
    ]
    print()
    for name, value in rows:
        print(f"{name:50}{value}")
    return 1 if seen.failures or lost or problems or set(drained) != {503} else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make rolling-demo", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="how often every process is replaced")
    parser.add_argument("--users", type=int, default=6)
    parser.add_argument("--pause", type=float, default=3.0, help="seconds between two replacements")
    return parse(parser, {"rounds": 1, "users": 3, "pause": 1.0})


if __name__ == "__main__":
    sys.exit(main())
