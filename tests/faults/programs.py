"""The processes of a small deployment, each with a pid to be killed and a log to be read."""

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

from devstack.ports import LOOPBACK, free_port
from devstack.process import spawn
from devstack.stack import answers

ROOT = Path(__file__).parent.parent.parent
HOOKS_OF_WARDS = Path(__file__).parent / "wards"  # its `sitecustomize` is run by every Python below a hooked worker
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

    def ready(self, seconds: float = 60) -> Self:
        """Wait until it works."""
        eventually(lambda: not self.alive or self.is_ready(self.output), seconds, lambda: self.output[-2000:])
        assert self.alive, self.output[-2000:]
        return self

    def signal(self, number: int) -> Self:
        self.process.send_signal(number)
        return self

    def kill(self) -> None:
        """kill -9, children included, and see it gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self, seconds: float = 30) -> int:
        """Its status once it has ended by itself."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end:\n{self.output[-2000:]}") from None


class Programs:
    """Starts them and remembers them; `env` is the environment of all."""

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self.directory = directory
        self.programs: list[Program] = []
        self._env = dict(env)
        self._numbers = 0

    def worker(
        self, *, queues: str = ALL, threads: int = 16, hooked: bool = True, env: Mapping[str, str] | None = None
    ) -> Program:
        """Start a worker; it is of production but for the points at which tests may interfere."""
        app = "tests.faults.worker_app:app" if hooked else "celery_config:app"
        env = ({"PYTHONPATH": f"{ROOT}:{HOOKS_OF_WARDS}"} if hooked else {}) | dict(env or {})
        name = f"worker{self._number()}"
        command = ["celery", "--quiet", "-A", app, "worker", "-P", "threads", "-c", str(threads), "-Q", queues]
        command += ["--without-gossip", "--without-mingle", "--loglevel", "INFO", "-n", f"{name}@%h"]
        return self._start(name, command, lambda output: " ready." in output, env)

    def beat(self) -> Program:
        """Start a beat."""
        command = ["celery", "--quiet", "-A", "celery_config:app", "beat", "--loglevel", "INFO", "--pidfile="]
        return self._start(f"beat{self._number()}", command, lambda _: True)

    def api(self, *, app: str = "wsgi:app", env: Mapping[str, str] | None = None) -> tuple[Program, str]:
        """Start an API as in production, and answer its address."""
        port = free_port()
        command = ["gunicorn", "-c", "deploy/gunicorn.conf.py", "--bind", f"{LOOPBACK}:{port}", app]
        ready = partial(answers, port, "/health/live")
        program = self._start(f"api{self._number()}", command, lambda _: ready(), env)
        return program, f"http://{LOOPBACK}:{port}"

    def _start(
        self, name: str, module: list[str], is_ready: Callable[[str], bool], env: Mapping[str, str] | None = None
    ) -> Program:
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            command = [sys.executable, "-m", *module]
            process = spawn(command, env=self._env | dict(env or {}), output=output, cwd=ROOT)
        program = Program(name, process, log, is_ready)
        self.programs.append(program)
        return program

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    @property
    def alive(self) -> int:
        """How many programs run."""
        return sum(program.alive for program in self.programs)

    def kill_all(self) -> None:
        """End every program that a test left behind."""
        for program in self.programs:
            program.kill()
        self.programs.clear()


def eventually(
    holds: Callable[[], bool], seconds: float = 30, otherwise: Callable[[], str] = lambda: "", pause: float = 0.02
) -> float:
    """Wait until `holds()` and answer how long that took; fails with the words of `otherwise` after `seconds`."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds, f"it did not come true within {seconds} s. {otherwise()}"
        time.sleep(pause)
    return time.monotonic() - begun


def measured(sentence: str) -> None:
    """Say what a test measured; pytest shows it with -rP."""
    sys.stdout.write(f"measured: {sentence}\n")
