"""Lends the instances of a process to its threads, first come first served.

Instances are created on first use, after a process has forked; a forked child creates its own.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import wasmtime

from sandbox.build import prepare
from sandbox.engine import TICK_SECONDS, new_engine
from sandbox.image import ImageMissing, directory, load
from sandbox.instance import Instance, SandboxReply, SandboxRequest

SIZE = max(2, min(4, os.cpu_count() or 2))  # instances of each image; more would only compete for the processors


class InstancePool:
    """Lends instances in the order of requests, so that a busy thread does not overtake a waiting one."""

    def __init__(self, instances: list[Instance]) -> None:
        self._lock = threading.Lock()
        self._free = list(instances)
        self._waiting: deque[_Turn] = deque()

    @contextmanager
    def lend(self) -> Iterator[Instance]:
        """Lend an instance for a `with` block."""
        instance = self._take()
        try:
            yield instance
        finally:
            self._give_back(instance)

    def _take(self) -> Instance:
        with self._lock:
            if self._free and not self._waiting:
                return self._free.pop()
            turn = _Turn()
            self._waiting.append(turn)
        return turn.wait()

    def _give_back(self, instance: Instance) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().come(instance)
            else:
                self._free.append(instance)


class _Turn:
    """A place in the queue: a waiting thread and the instance that it gets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._instance: Instance

    def come(self, instance: Instance) -> None:
        self._instance = instance
        self._lock.release()

    def wait(self) -> Instance:
        self._lock.acquire()
        return self._instance


class Sandbox:
    """The sandbox of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: wasmtime.Engine | None = None
        self._pools: dict[str, InstancePool] = {}

    def run(self, image: str, request: SandboxRequest) -> SandboxReply:
        """Run a request in an image; raises `instance.Stopped`, or `ImageMissing` if the image cannot be prepared."""
        pool = self._pools.get(image) or self._make(image)
        with pool.lend() as instance:
            return instance.run(request)

    def _make(self, name: str) -> InstancePool:
        with self._lock:
            if name not in self._pools:
                if not directory().exists():
                    prepare()  # in development; a deployed container is built with its images
                image = load(name, self._engine or self._start())
                self._pools[name] = InstancePool([Instance(image) for _ in range(SIZE)])
            return self._pools[name]

    def _start(self) -> wasmtime.Engine:
        engine = self._engine = new_engine()
        # A plain thread, because the sandbox imports nothing of ours and this one cannot fail.
        threading.Thread(target=_tick, args=(engine,), name="sandbox-clock", daemon=True).start()
        return engine


def _tick(engine: wasmtime.Engine) -> None:
    """Advance the engine's clock for deadlines; only on a very slow machine they pass before the fuel runs out."""
    while True:
        time.sleep(TICK_SECONDS)
        engine.increment_epoch()


_left: list[Sandbox] = []  # sandboxes of parent processes, kept so that a forked child does not destroy them
_sandbox = Sandbox()


def run(image: str, request: SandboxRequest) -> SandboxReply:
    """Run a request in the sandbox of this process; see `Sandbox.run`."""
    return _sandbox.run(image, request)


def _start_over() -> None:
    global _sandbox
    _left.append(_sandbox)
    _sandbox = Sandbox()


os.register_at_fork(after_in_child=_start_over)

__all__ = ["ImageMissing", "InstancePool", "Sandbox", "run"]
