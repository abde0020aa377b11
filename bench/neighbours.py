"""Measure how much an attacker slows a user who polls a run: `python -m bench.neighbours [--seconds N] [ATTACK ...]`.

One process of the API, with production's configuration. A user polls a run fifty times a second, alone and beside each
attacker, which is a separate program; the result is the ratio of the 99th percentiles. Machines are noisy, so both are
measured in turns, each attacker with its own "alone", and the ratios mean more than the milliseconds. On a machine with
few cores attackers and database share them with the API, so it also prints what each attack costs: the CPU of the
API's process for one, the polls beside it deducted, and how many of the cores the attacker used itself.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from uuid import UUID

import orjson
import psutil

from bench.arguments import parse
from bench.clients.attackers import ATTACKS
from bench.served import ROOT, cpu_seconds, percentile, served, servers, users
from devstack.servers.ports import LOOPBACK
from models.db import session_scope
from models.services.executions import executions
from models.services.workflows import workflows
from models.tables import User

GOAL = 3.0
ROUNDS = 3
PAUSE_SECONDS = 0.02
WARM_UP_SECONDS = 1.0
CONNECTIONS = 4  # at a time, of each attacker
IDLE_CORES, SETTLE_SECONDS = 0.1, 20.0  # an attack's last requests are over before the user is measured alone


@dataclass(frozen=True)
class Api:
    """The process that is attacked."""

    port: int
    process: psutil.Process
    env: dict[str, str]

    def settle(self) -> None:
        """Wait until it has nothing to do."""
        until, busy = time.monotonic() + SETTLE_SECONDS, 1.0
        while busy > IDLE_CORES and time.monotonic() < until:
            before = cpu_seconds(self.process)
            time.sleep(0.5)
            busy = (cpu_seconds(self.process) - before) / 0.5


@dataclass(frozen=True)
class Poller:
    """A user who polls a run."""

    api: Api
    run: UUID
    token: str

    def poll(self, seconds: float) -> list[float]:
        """Poll for so many seconds; return the milliseconds of each request."""
        found, until = [], time.monotonic() + seconds
        headers = {"Authorization": f"Bearer {self.token}", "X-Forwarded-For": "192.0.2.1"}
        connection = HTTPConnection(LOOPBACK, self.api.port, timeout=30)
        while time.monotonic() < until:
            begun = time.perf_counter()
            try:
                connection.request("GET", f"/api/executions/{self.run}", headers=headers)
                answer = connection.getresponse()
                document = orjson.loads(answer.read())
            except (OSError, HTTPException) as error:
                raise SystemExit(f"The user got no response: {error!r}") from error
            if answer.status != 200:
                raise SystemExit(f"The user was refused: {answer.status} {document}")
            found.append(1000 * (time.perf_counter() - begun))
            time.sleep(PAUSE_SECONDS)
        return found


@dataclass
class Case:
    """One attack, and what was measured in all rounds."""

    name: str
    token: str  # of the attacker
    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    calm_cpu: float = 0.0  # seconds of the API's process for the polls alone
    cpu: float = 0.0  # of the API's process beside the attacker
    attacker_cpu: float = 0.0
    attacks: int = 0
    seconds: float = 0.0

    def measure(self, user: Poller, seconds: float) -> None:
        """Run one round."""
        api = user.api
        api.settle()
        before = cpu_seconds(api.process)
        self.alone += user.poll(seconds)
        self.calm_cpu += cpu_seconds(api.process) - before
        command = [sys.executable, "-m", "bench.clients.attackers", self.name, str(api.port), self.token]
        command.append(str(CONNECTIONS))
        before, begun = cpu_seconds(api.process), time.monotonic()
        with subprocess.Popen(command, cwd=ROOT, env=api.env, stdout=subprocess.PIPE) as attacker:
            time.sleep(WARM_UP_SECONDS)
            self.beside += user.poll(seconds)
            if attacker.poll() is not None:
                raise SystemExit(f"The attacker {self.name} ended too early.")
            self.attacker_cpu += cpu_seconds(psutil.Process(attacker.pid))
            attacker.terminate()
            self.attacks += int(attacker.communicate()[0])
        self.cpu += cpu_seconds(api.process) - before
        self.seconds += time.monotonic() - begun

    @property
    def ratio(self) -> float:
        """How many times as long the slowest hundredth of the polls took."""
        return percentile(self.beside, 0.99) / percentile(self.alone, 0.99)

    def __str__(self) -> str:
        times = [percentile(found, part) for found in (self.alone, self.beside) for part in (0.5, 0.99)]
        polls = self.calm_cpu / len(self.alone) * len(self.beside)
        cost = 1000 * max(0.0, self.cpu - polls) / max(1, self.attacks)
        said = " ".join(f"{value:8.1f}" for value in times)
        rate, cores = self.attacks / self.seconds, self.attacker_cpu / self.seconds
        return f"{self.name:20} {said} {self.ratio:6.1f} {rate:10.1f} {cost:8.2f} {cores:7.2f}"


def main() -> None:
    """Print the table; fail when a ratio is above the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attacks", nargs="*", default=list(ATTACKS), help=", ".join(ATTACKS))
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement, in three rounds")
    asked = parse(parser, {"seconds": 1.0})
    with servers() as env, served(env | {"PROXY_HOPS": "1"}) as (port, process):
        (victim, token), (_, attacker) = users(2)
        user = Poller(Api(port, process, env), _a_run(victim), token)
        user.poll(WARM_UP_SECONDS)
        columns = "alone p50 p99 ms|beside p50 p99 ms| ratio| attacks/s|   CPU ms| cores"
        print(f"{'':20} {columns.replace('|', ' ')}", flush=True)
        ratios = {}
        for name in asked.attacks:
            case = Case(name, attacker)
            for _ in range(ROUNDS):
                case.measure(user, asked.seconds / ROUNDS)
            print(case, flush=True)
            ratios[name] = case.ratio
    if max(ratios.values()) > GOAL and not asked.short:
        raise SystemExit(f"Above the goal of {GOAL}: {', '.join(name for name in ratios if ratios[name] > GOAL)}.")


def _a_run(owner_id: UUID) -> UUID:
    graph = {
        "nodes": [{"id": f"n{number}", "type": "input" if not number else "process"} for number in range(10)],
        "connections": [{"from": f"n{number}", "to": f"n{number + 1}"} for number in range(9)],
    }
    with session_scope() as session:
        owner = session.get_one(User, owner_id)
        flow = workflows.create(session, owner, name="bench", graph=graph)
        return executions.submit(session, owner, flow.id).id


if __name__ == "__main__":
    main()
