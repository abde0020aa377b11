"""Measure what an instance of two processes reaches with ten reads of a run to three submits: `python -m bench.mixed`.

Production's configuration of gunicorn with two processes, and a minimal Flask application beside it, which reads a row
and inserts one with a message (`bench/baselines/bare.py`), in turns. First the peak: each connection sends as soon as
it has its response. Then requests come at 70 % of that peak, however late the responses are, and their times count from
when they were due. The client is one process in one thread; how much of a core it took is printed, and so are the cores
of the API's processes. On a machine of two cores, PostgreSQL, Redis and the client take their part of these.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import psutil
import redis

from bench.api import _once, _prepare, _request
from bench.arguments import parse
from bench.served import ROOT, cpu_seconds, percentile, served_by, servers

PROCESSES, CONNECTIONS = 2, 32
PART_OF_PEAK = 0.7
BARE_OPTIONS = ("--worker-class", "gthread", "--threads", "16")
GOAL = "1,000 reads and 300 submits a second, p99 below 200 ms at 70 % of the peak"


@dataclass
class MeasuredServer:
    """An application under load, and what was measured in all rounds."""

    name: str
    port: int
    processes: list[psutil.Process]
    requests: dict[str, list[str]]
    peaks: list[float] = field(default_factory=list)  # requests per second
    times: dict[str, list[float]] = field(default_factory=lambda: {"reads": [], "submits": []})
    failures: int = 0
    cores: list[float] = field(default_factory=list)  # of the application, at its peak
    client_cores: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # milliseconds of the application for a request, at its peak

    def measure(self, seconds: float, broker: "redis.Redis") -> None:
        """Run one round: the peak, and then a part of it."""
        broker.flushall()  # counts of the limits, and task messages
        before = sum(map(cpu_seconds, self.processes))
        found = self._load(seconds, 0)
        cpu, number = sum(map(cpu_seconds, self.processes)) - before, len(found["reads"]) + len(found["submits"])
        self.peaks.append(number / seconds)
        self.cores.append(cpu / seconds)
        self.cpu.append(1000 * cpu / number)
        self.client_cores.append(found["cpu_seconds"] / seconds)
        broker.flushall()
        found |= {"at_peak": found["failures"]} | self._load(seconds, PART_OF_PEAK * self.peaks[-1])
        for kind, times in self.times.items():
            times += found[kind]
        self.failures += found["at_peak"] + found["failures"]

    def _load(self, seconds: float, rate: float) -> dict[str, Any]:
        command = [sys.executable, "-m", "bench.clients.mixed", self.port, seconds, rate, CONNECTIONS]
        said = subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            input=json.dumps(self.requests).encode(),
            stdout=subprocess.PIPE,
            check=True,
        )
        found: dict[str, Any] = json.loads(said.stdout)
        return found

    def __str__(self) -> str:
        best = max(range(len(self.peaks)), key=self.peaks.__getitem__)
        values = [self.peaks[best] * 10 / 13, self.peaks[best] * 3 / 13, self.cpu[best], self.cores[best]]
        times = [percentile(self.times[kind], part) for kind in ("reads", "submits") for part in (0.5, 0.99)]
        said = f"{values[0]:8.0f}{values[1]:11.0f}{values[2]:9.2f}{values[3]:8.2f}{self.client_cores[best]:8.2f}"
        return f"{self.name:12}{said}" + "".join(f"{value:9.0f}" for value in times) + f"{self.failures:17}"


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="make bench-mixed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each of the two loads in a round")
    asked = parse(parser, {"rounds": 1, "seconds": 1.0})
    with (
        servers() as env,
        served_by(PROCESSES, env, "bench.baselines.bare:app", *BARE_OPTIONS) as (bare_port, bare),
        served_by(PROCESSES, env) as (port, ours),
    ):
        instances = [
            MeasuredServer("bare Flask", bare_port, bare, _bare_requests(bare_port)),
            MeasuredServer("ours", port, ours, _our_requests()),
        ]
        broker = redis.Redis.from_url(env["REDIS_URL"])
        for _ in range(asked.rounds):
            for instance in instances:
                instance.measure(asked.seconds, broker)
    at_part = "at 70 %: reads p50, p99, submits p50, p99 ms"
    print(f"{'':12} reads/s  submits/s   CPU ms   cores  client {at_part} failures")
    for instance in instances:
        print(instance)
    print(f"Goal: {GOAL}.")


def _bare_requests(port: int) -> dict[str, list[str]]:
    insert = _request("POST", "/jobs", body=b'{"input": 1}')
    job = json.loads(_once(port, insert))["id"]
    return {"reads": [_request("GET", f"/jobs/{job}").decode()], "submits": [insert.decode()]}


def _our_requests() -> dict[str, list[str]]:
    ours = _prepare()
    submits = [_request("POST", f"/api/workflows/{flow}/execute", token, b'{"input": 1}') for token, flow, _ in ours]
    reads = [_request("GET", f"/api/executions/{run}", token) for token, _, run in ours]
    return {"reads": [one.decode() for one in reads], "submits": [one.decode() for one in submits]}


if __name__ == "__main__":
    main()
