"""A program of the stack, and its current process."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from devstack.processes.log import Log
from devstack.processes.process import signal_group

RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
CALM_SECONDS = 30.0  # a process that lived so long does not count as a repeated crash
TRIES_TO_BECOME_READY = 3
_MAX_LINE_BYTES = 16_384


class Phase(StrEnum):
    WAITING = "waiting"  # not started, or about to be restarted
    STARTING = "starting"
    READY = "ready"
    DONE = "done"  # a one-shot that succeeded
    FAILED = "failed"


@dataclass(frozen=True)
class Program:
    """A program to run, and how to recognise that it is ready.

    `start` gets the descriptor for output and returns None when another owner runs the same program, which is then
    used as it is and replaced once it ends.
    """

    name: str
    start: Callable[[int], subprocess.Popen[bytes] | None]
    stage: int = 0  # programs of a stage start once all earlier stages are ready, and stop before them
    is_ready: Callable[[], bool] = lambda: True
    ready_line: str = ""  # if set, ready means that it wrote a line that contains this
    once: bool = False  # ready means that it ended with status 0
    stop_signal: int = signal.SIGTERM
    grace: float = 20.0  # seconds between `stop_signal` and SIGKILL
    start_timeout: float = 90.0  # seconds it may take to become ready


class ChildProcess:
    """The process of a program: started, watched, restarted, stopped."""

    def __init__(self, program: Program, log: Log) -> None:
        self.program = program
        self.phase = Phase.WAITING
        self.process: subprocess.Popen[bytes] | None = None
        self.pipe: int | None = None
        self.was_ready = False
        self._log = log
        self._rest = b""
        self._line_seen = False
        self._deaths = 0
        self._started_at = 0.0
        self._start_at = 0.0
        self._first_start_at = 0.0

    @property
    def settled(self) -> bool:
        """Whether later stages may start."""
        return self.phase in (Phase.READY, Phase.DONE)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def tick(self) -> None:
        """Advance by one step: start it, or notice that it is ready or has ended."""
        if self.phase in (Phase.DONE, Phase.FAILED):
            return
        if self.process is None:
            if time.monotonic() >= self._start_at:
                self._start()
        elif self.process.poll() is not None:
            self._ended(self.process.returncode)
            return
        if self.phase is Phase.STARTING:
            self._check()

    def pump(self) -> None:
        """Log the output since the last call."""
        while self.pipe is not None:
            try:
                data = os.read(self.pipe, 65_536)
            except BlockingIOError:
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            if not data or len(self._rest) > _MAX_LINE_BYTES:
                lines, self._rest = [*lines, self._rest] if self._rest else lines, b""
            for line in lines:
                self._write(line.decode(errors="replace").rstrip())
            if not data:
                self._close_pipe()

    def signal_stop(self) -> None:
        """Ask the process to end."""
        if self.process is not None and self.alive:
            self.process.send_signal(self.program.stop_signal)

    def bury(self) -> None:
        """Kill the process and all its descendants, and forget it."""
        if self.process is not None:
            signal_group(self.process, signal.SIGKILL)
            self.process.wait()
        self.process = None
        self.pump()
        self._close_pipe()

    def _start(self) -> None:
        reader, writer = os.pipe()
        try:
            self.process = self.program.start(writer)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        self._started_at = time.monotonic()
        self._first_start_at = self._first_start_at or self._started_at
        self._line_seen = False
        if self.process is None:  # another owner runs it: check again soon, it may end
            os.close(reader)
            self._start_at = self._started_at + 1.0
            self.phase = self.phase if self.phase is Phase.READY else Phase.STARTING
            return
        os.set_blocking(reader, False)
        self.pipe, self.phase = reader, Phase.STARTING

    def _check(self) -> None:
        program = self.program
        if program.once:
            return
        if self._line_seen if program.ready_line else program.is_ready():
            self.phase, self.was_ready = Phase.READY, True
        elif not self.was_ready and time.monotonic() - self._first_start_at > program.start_timeout:
            self._fail(f"{program.name} was not ready within {program.start_timeout:g} seconds.")

    def _ended(self, status: int) -> None:
        self.bury()
        if self.program.once:
            self.phase = Phase.DONE if status == 0 else self.phase
            if status:
                self._fail(f"{self.program.name} failed; its reason is above.")
            return
        self._deaths = 1 if time.monotonic() - self._started_at > CALM_SECONDS else self._deaths + 1
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        if not self.was_ready and self._deaths >= TRIES_TO_BECOME_READY:
            self._fail(f"{self.program.name} {how} {self._deaths} times before it was ready; its reason is above.")
            return
        pause = RETRY_SECONDS[min(self._deaths, len(RETRY_SECONDS)) - 1]
        self._log.say(f"{self.program.name} {how}; it starts again in {pause:g} s.")
        self._start_at = time.monotonic() + pause
        self.phase = Phase.WAITING

    def _fail(self, sentence: str) -> None:
        self.phase = Phase.FAILED
        self._log.say(sentence)

    def _write(self, line: str) -> None:
        if self.program.ready_line and self.program.ready_line in line:
            self._line_seen = True
        if line:
            self._log.line(self.program.name, line)

    def _close_pipe(self) -> None:
        if self.pipe is not None:
            os.close(self.pipe)
        self.pipe, self._rest = None, b""
