"""The processes of a small deployment, with their pids and logs."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from devstack.processes.process import spawn
from devstack.servers.ports import LOOPBACK, free_port
from devstack.stack import is_up

ROOT = Path(__file__).parents[3]
HOOKS_OF_ISOLATION = (
    Path(__file__).resolve().parent / "isolated"
)  # its `sitecustomize` is run by every Python below a hooked worker
LIMIT_SECONDS = 180.0  # for events without a guaranteed time, on a slow machine; guaranteed times are asserted
EXECUTIONS = "executions.high,executions.normal,executions.low"
ALL = f"{EXECUTIONS},maintenance,billing,notifications"


@dataclass
class Program:
    """One process and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    is_ready: Callable[[str], bool]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def ready(self, seconds: float = LIMIT_SECONDS) -> Self:
        """Wait until it is ready."""
        eventually(lambda: not self.alive or self.is_ready(self.output), seconds, lambda: self.output[-2000:])
        assert self.alive, self.output[-2000:]
        return self

    def signal(self, number: int) -> Self:
        self.process.send_signal(number)
        return self

    def kill(self) -> None:
        """Kill it and its children with SIGKILL, and wait for their end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self, seconds: float = LIMIT_SECONDS) -> int:
        """Wait until it ends by itself; return its exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end:\n{self.output[-2000:]}") from None


class Programs:
    """Starts programs and keeps track of them; `env` is the environment of all."""

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self.directory = directory
        self.programs: list[Program] = []
        self._env = dict(env)
        self._numbers = 0

    def worker(
        self, *, queues: str = ALL, threads: int = 16, hooked: bool = True, env: Mapping[str, str] | None = None
    ) -> Program:
        """Start a worker: production's, with hooks for faults."""
        app = "tests.support.faults.worker_app:app" if hooked else "celery_config:app"
        env = ({"PYTHONPATH": f"{ROOT}:{HOOKS_OF_ISOLATION}"} if hooked else {}) | dict(env or {})
        name = f"worker{self._number()}"
        command = ["celery", "--quiet", "-A", app, "worker", "-P", "threads", "-c", str(threads), "-Q", queues]
        command += ["--without-gossip", "--without-mingle", "--loglevel", "INFO", "-n", f"{name}@%h"]
        return self._start(name, command, lambda output: " ready." in output, env)

    def beat(self) -> Program:
        """Start a beat."""
        command = ["celery", "--quiet", "-A", "celery_config:app", "beat", "--loglevel", "INFO", "--pidfile="]
        return self._start(f"beat{self._number()}", command, lambda _: True)

    def api(self, *, app: str = "asgi:app", env: Mapping[str, str] | None = None) -> tuple[Program, str]:
        """Start an API as in production; return its address."""
        port = free_port()
        command = ["gunicorn", "-c", "deploy/gunicorn.conf.py", "--bind", f"{LOOPBACK}:{port}", app]
        ready = partial(is_up, port, "/health/live")
        program = self._start(f"api{self._number()}", command, lambda _: ready(), env)
        return program, f"http://{LOOPBACK}:{port}"

    def _enter(self) -> list[str]:
        """The command that runs another one where the next program is to run; empty for here."""
        return []

    def _start(
        self, name: str, module: list[str], is_ready: Callable[[str], bool], env: Mapping[str, str] | None = None
    ) -> Program:
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            command = [*self._enter(), sys.executable, "-m", *module]
            process = spawn(command, env=self._env | dict(env or {}), output=output, cwd=ROOT)
        program = Program(name, process, log, is_ready)
        self.programs.append(program)
        return program

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    @property
    def alive(self) -> int:
        """The number of running programs."""
        return sum(program.alive for program in self.programs)

    def kill_all(self) -> None:
        """Kill every program that a test left behind."""
        for program in self.programs:
            program.kill()
        self.programs.clear()


def eventually(
    holds: Callable[[], bool],
    seconds: float = LIMIT_SECONDS,
    otherwise: Callable[[], str] = lambda: "",
    pause: float = 0.02,
) -> float:
    """Wait until `holds()`; return how long that took, or fail with `otherwise` after `seconds`."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds, f"it did not come true within {seconds} s. {otherwise()}"
        time.sleep(pause)
    return time.monotonic() - begun


def measured(sentence: str) -> None:
    """Print a measurement; pytest shows it with -rP."""
    sys.stdout.write(f"measured: {sentence}\n")
