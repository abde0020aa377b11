"""Measure how much an attacker slows a user who polls a run: `python -m bench.neighbours [--seconds N] [ATTACK ...]`.

One process of the API, with production's configuration. A user polls a run fifty times a second, alone and beside each
attacker, which is a separate program; the result is the ratio of the 99th percentiles. Machines are noisy, and on one
with few cores attackers and database share them with the API: the ratios mean more than the milliseconds.
"""

import argparse
import subprocess
import sys
import time
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from uuid import UUID

import orjson

from bench.arguments import parse
from bench.clients.attackers import ATTACKS
from bench.served import percentile, running, served, servers, users
from devstack.servers.ports import LOOPBACK
from models.db import session_scope
from models.services.executions import executions
from models.services.workflows import workflows
from models.tables import User

GOAL = 3.0
PAUSE_SECONDS = 0.02
WARM_UP_SECONDS = 1.0
CONNECTIONS = 4  # at a time, of each attacker


def main() -> None:
    """Print the table; fail when a ratio is above the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attacks", nargs="*", default=list(ATTACKS), help=", ".join(ATTACKS))
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    asked = parse(parser, {"seconds": 1.0})
    with servers() as env, served(env | {"PROXY_HOPS": "1"}) as (port, _):
        (victim, token), (_, attacker) = users(2)
        run = _a_run(victim)
        alone = _measured(port, run, token, asked.seconds)
        print(f"{'':22} {'p50 ms':>8} {'p99 ms':>8} {'ratio':>6}", flush=True)
        print(f"{'alone':22} {_told(alone)} {1:6.1f}", flush=True)
        ratios = {}
        for name in asked.attacks:
            command = [sys.executable, "-m", "bench.clients.attackers", name, str(port), attacker, str(CONNECTIONS)]
            with ExitStack() as stack:
                process: subprocess.Popen[bytes] = stack.enter_context(running(command, env))
                time.sleep(WARM_UP_SECONDS)
                beside = _measured(port, run, token, asked.seconds)
                if process.poll() is not None:
                    raise SystemExit(f"The attacker {name} ended too early.")
            ratios[name] = percentile(beside, 0.99) / percentile(alone, 0.99)
            print(f"{name:22} {_told(beside)} {ratios[name]:6.1f}", flush=True)
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


def _measured(port: int, run: UUID, token: str, seconds: float) -> list[float]:
    """Poll for so many seconds; return the milliseconds of each request."""
    found, until = [], time.monotonic() + seconds
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "192.0.2.1"}
    connection = HTTPConnection(LOOPBACK, port, timeout=30)
    while time.monotonic() < until:
        begun = time.perf_counter()
        try:
            connection.request("GET", f"/api/executions/{run}", headers=headers)
            answer = connection.getresponse()
            document = orjson.loads(answer.read())
        except (OSError, HTTPException) as error:
            raise SystemExit(f"The user got no response: {error!r}") from error
        if answer.status != 200:
            raise SystemExit(f"The user was refused: {answer.status} {document}")
        found.append(1000 * (time.perf_counter() - begun))
        time.sleep(PAUSE_SECONDS)
    return found


def _told(times: list[float]) -> str:
    return f"{percentile(times, 0.5):8.1f} {percentile(times, 0.99):8.1f}"


if __name__ == "__main__":
    main()
