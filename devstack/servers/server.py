"""Base of the embedded PostgreSQL and Redis: one directory, one lock, one address.

A running server holds the lock file of its directory, so two servers never share their data; a second user joins the
first one's server.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from devstack.processes.process import DevstackError, signal_group, spawn, try_lock, wait_until, write_private
from devstack.servers.ports import LOOPBACK, free_port, is_free

CHILD_ENV = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class Server(ABC):
    """A database server that keeps everything in `directory`.

    As a context manager it starts the server, or joins one that runs there, and stops only what it started.
    `host` is the address that it listens at, and `enter` a command that runs another one where that address is.
    """

    label: str
    death_signal: int = signal.SIGTERM
    stop_signal: int = signal.SIGTERM

    def __init__(self, directory: Path, *, host: str = LOOPBACK, enter: Sequence[str] = ()) -> None:
        self.host = host
        self._enter = enter
        self.directory = directory.absolute()
        self.log_path = self.directory / "server.log"
        self._state_path = self.directory / "server.json"
        self._env: Mapping[str, str] = CHILD_ENV  # of the server's process
        self._process: subprocess.Popen[bytes] | None = None

    # For subclasses --------------------------------------------------------------------------

    @abstractmethod
    def url(self, database: str = "") -> str:
        """The address to connect to, password included."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the server answers queries now."""

    @abstractmethod
    def _prepare(self) -> list[str]:
        """Prepare the data directory; return the server's command."""

    # Stored state ----------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port, the same after a restart unless another program took it meanwhile."""
        return int(self._state()["port"])

    @property
    def password(self) -> str:
        """The generated password; it keeps out other users of the machine, who can reach loopback."""
        return str(self._state()["password"])

    @property
    def pid(self) -> int:
        """Process id of the server that we started; raises `DevstackError` when we did not start it."""
        if self._process is None:
            raise DevstackError(f"{self.label} in {self.directory} was not started by this process.")
        return self._process.pid

    def _state(self) -> dict[str, str | int]:
        try:
            state: dict[str, str | int] = json.loads(self._state_path.read_text())
        except FileNotFoundError:
            return {}
        return state

    def _remember_port(self) -> None:
        state = self._state()
        state.setdefault("password", secrets.token_hex(24))
        if not is_free(int(state.setdefault("port", free_port()))):
            state["port"] = free_port()
        write_private(self._state_path, json.dumps(state))

    # Starting and stopping -------------------------------------------------------------------

    def spawn(self, output: int | IO[bytes]) -> subprocess.Popen[bytes] | None:
        """Start the server without waiting; None when one runs (or starts) in this directory already."""
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = try_lock(self.directory / "lock")
        if lock is None:
            return None
        try:
            self._remember_port()
            return spawn(
                [*self._enter, *self._prepare()],
                env=self._env,
                output=output,
                cwd=Path("/"),
                death_signal=self.death_signal,
                keep_open=[lock],
            )
        finally:
            os.close(lock)

    def start(self) -> Self:
        """Start the server, or join the running one, and wait until it answers; raises `DevstackError`."""
        self.directory.mkdir(parents=True, exist_ok=True)

        def ready() -> bool:
            if self._process is None or self._process.poll() is not None:
                if self._process is not None and self._process.returncode:
                    raise DevstackError(f"{self.label} does not start.\n{self._end_of_log()}")
                with self.log_path.open("ab") as log:
                    self._process = self.spawn(log)
            return bool(self._state()) and self.is_ready()

        wait_until(ready, seconds=60, otherwise=lambda: f"{self.label} does not answer.\n{self._end_of_log()}")
        return self

    def stop(self, number: int | None = None, *, seconds: float = 30) -> None:
        """Stop the server cleanly if we started it, and by force after `seconds`."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number or self.stop_signal)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            sys.stderr.write(f"{self.label} did not stop within {seconds:g} s and was killed.\n")
        signal_group(process, signal.SIGKILL)
        process.wait()

    def kill(self) -> None:
        """kill -9 the server and all its processes, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            signal_group(process, signal.SIGKILL)
            process.wait()

    def restart(self) -> None:
        """Stop the server cleanly and start it with its data, on the same port."""
        self.stop()
        self.start()

    def _end_of_log(self) -> str:
        try:
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-5:])
        except FileNotFoundError:
            return "It wrote no log."

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
