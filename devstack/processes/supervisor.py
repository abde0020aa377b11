"""Run the programs of a stack until it is stopped.

Guarantees: a program that dies is restarted; when the supervisor ends, by Ctrl-C, SIGTERM or kill -9, no process of the
stack survives. It has one thread, because the kernel ties a child's life to the thread that started it, and because
nothing needs locks then.
"""

import os
import selectors
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from types import FrameType

from devstack.processes.log import Log
from devstack.processes.process import adopt_orphans
from devstack.processes.program import ChildProcess, Phase, Program

_TICK_SECONDS = 0.1
_SAME_REQUEST_SECONDS = 1.0  # `make` and the terminal may both forward the same Ctrl-C
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Starts programs stage by stage, keeps them running, stops them in reverse."""

    def __init__(self, programs: Sequence[Program], log: Log, *, on_ready: Callable[[], None] = lambda: None) -> None:
        self._log = log
        self._on_ready = on_ready
        ordered = sorted(programs, key=lambda program: program.stage)
        self._children = [ChildProcess(program, log) for program in ordered]
        self._announced = False
        self._stop_requests = 0
        self._last_request = 0.0
        self._impatient = 2  # the number of requests after which programs are killed

    def run(self) -> int:
        """Run until a signal comes or a program cannot be started; return the exit status."""
        adopt_orphans()
        with self._signals() as wakeups:
            try:
                while not (self._stop_requests or self._failed() or self._log.broken):
                    self._advance()
                    self._wait(wakeups)
            finally:
                self._stop(wakeups)
        return 1 if self._failed() else 0

    def _failed(self) -> bool:
        return any(child.phase is Phase.FAILED for child in self._children)

    def _advance(self) -> None:
        for _, stage in groupby(self._children, key=lambda child: child.program.stage):
            children = list(stage)
            for child in children:
                child.tick()
            if not all(child.settled or child.was_ready for child in children):
                return
        if not self._announced:
            self._announced = True
            self._on_ready()

    def _wait(self, wakeups: int, seconds: float = _TICK_SECONDS) -> None:
        """Log output until something happens, for at most `seconds`."""
        with selectors.DefaultSelector() as selector:
            selector.register(wakeups, selectors.EVENT_READ)
            for child in self._children:
                if child.pipe is not None:
                    selector.register(child.pipe, selectors.EVENT_READ, child)
            for key, _ in selector.select(seconds):
                if key.data is None:
                    _drain(wakeups)
                else:
                    key.data.pump()
        self._reap_orphans()

    def _stop(self, wakeups: int) -> None:
        """Stop the stages in reverse; a second Ctrl-C kills what is left."""
        running = any(child.alive for child in self._children)
        if running:
            self._log.say("Stopping ...")
        self._impatient = max(self._stop_requests, 1) + 1
        for _, stage in groupby(reversed(self._children), key=lambda child: child.program.stage):
            self._stop_stage(list(stage), wakeups)
        self._reap_orphans()
        if running:
            self._log.say("Stopped.")

    def _stop_stage(self, children: list[ChildProcess], wakeups: int) -> None:
        begun = time.monotonic()
        for child in children:
            child.signal_stop()
        while any(child.alive for child in children):
            self._wait(wakeups)
            for child in children:
                late = time.monotonic() - begun > child.program.grace
                if child.alive and (late or self._stop_requests >= self._impatient):
                    self._log.say(f"{child.program.name} does not stop and is killed.")
                    child.bury()
        for child in children:
            child.bury()

    def _reap_orphans(self) -> None:
        """Reap ended descendants of dead children, so that none stays a zombie."""
        own = {child.process.pid for child in self._children if child.process is not None}
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, 0)

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """Handle signals during the block; yield a descriptor that becomes readable when one came."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)

        def request_stop(number: int, frame: FrameType | None) -> None:
            now = time.monotonic()
            if now - self._last_request > _SAME_REQUEST_SECONDS:
                self._stop_requests += 1
            self._last_request = now

        before = {number: signal.signal(number, request_stop) for number in _SIGNALS}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reader)
            os.close(writer)


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        pass
