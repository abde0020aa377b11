"""Processes of ours that a deploy replaces."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from devstack.processes.process import DevstackError, signal_group, spawn
from devstack.servers.ports import LOOPBACK
from devstack.stack import EXECUTION_QUEUES, OTHER_QUEUES

ROOT = Path(__file__).parents[2]
_CELERY = ["celery", "--quiet", "-A", "celery_config:app"]
_READY_SECONDS, _STOP_SECONDS = 120.0, 60.0


class Service:
    """One process, with its log; it may be stopped and started again."""

    def __init__(
        self,
        name: str,
        module: Sequence[str],
        env: Mapping[str, str],
        logs: Path,
        is_ready: Callable[[str], bool],
        root: Path = ROOT,
    ) -> None:
        self.name, self._root = name, root
        self._command, self.env = [sys.executable, "-m", *module], env
        self._log, self._is_ready = logs / f"{name}.log", is_ready
        self._process: subprocess.Popen[bytes] | None = None
        self._read = 0  # bytes of the log that earlier processes wrote

    def start(self) -> None:
        """Start it, and wait until it is ready; raises `DevstackError`."""
        with self._log.open("ab") as log:
            self._read = log.tell()
            self._process = spawn(self._command, env=self.env, output=log, cwd=self._root, death_signal=signal.SIGTERM)
        deadline = time.monotonic() + _READY_SECONDS
        while not self._is_ready(self._said()):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise DevstackError(f"{self.name} does not start:\n{self._said()[-2000:]}")
            time.sleep(0.05)

    def terminate(self) -> None:
        """Ask it to end, as a supervisor does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int | None:
        """Wait for its end, and kill what is left of it after a minute; return its exit status."""
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            return process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            signal_group(process, signal.SIGKILL)
            process.wait()

    def _said(self) -> str:
        return self._log.read_bytes()[self._read :].decode(errors="replace")


def api(port: int, env: Mapping[str, str], logs: Path, root: Path = ROOT) -> Service:
    """The API at `port`, as one process of gunicorn, of the code in `root`."""
    module = ["gunicorn", "-c", "deploy/gunicorn.conf.py", "--workers", "1", "--bind", f"{LOOPBACK}:{port}"]
    return Service(f"api-{port}", [*module, "asgi:app"], env, logs, lambda _: readiness(port) == 200, root)


def worker(name: str, queues: str, env: Mapping[str, str], logs: Path, root: Path = ROOT) -> Service:
    """A worker of these queues."""
    module = [*_CELERY, "worker", "-P", "threads", "-c", "16", "-Q", queues, "-n", f"{name}@%h"]
    module += ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    return Service(name, module, env, logs, lambda said: " ready." in said, root)


def workers(env: Mapping[str, str], logs: Path) -> tuple[list[Service], list[Service]]:
    """Two workers that drive runs, and what else a deployment has."""
    driving = [worker(f"executions-{number}", EXECUTION_QUEUES, env, logs) for number in (1, 2)]
    beat = Service("beat", [*_CELERY, "beat", "--pidfile=", f"--schedule={logs}/beat"], env, logs, lambda _: True)
    return driving, [worker("others", OTHER_QUEUES, env, logs), beat]


def readiness(port: int, connection: HTTPConnection | None = None) -> int:
    """The status of /health/ready, 0 without a response."""
    line = connection or HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        line.request("GET", "/health/ready")
        answer = line.getresponse()
        answer.read()
    except (OSError, HTTPException):
        return 0
    return answer.status
