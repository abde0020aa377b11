"""A run holds no more results than it needs, and its process gives back what they took."""

import gc
import itertools
import os
import platform
import threading
from typing import Any
from uuid import UUID

import pytest

from models.services.orchestration.journal import Progress
from tests.support.engine.bench import Bench
from tests.support.factories import node
from tests.workers.engine.driver.test_paused_steps import let_time_pass
from workers.engine.journal.progress_buffer import MAX_UNWRITTEN
from workers.engine.journal.writer import OnWritten
from workers.engine.process.memory import GROWN, Memory, _resident
from workers.engine.process.runtime import Runtime

LARGE = "x" * 900_000


def chain(length: int) -> tuple[list[dict[str, Any]], list[str]]:
    names = [f"n{index}" for index in range(length)]
    nodes = [node(name, config={"expression": "data"}) for name in names]
    return nodes, [f"{a}>{b}" for a, b in itertools.pairwise(names)]


class SlowWriter:
    """A journal that is behind: the most that was handed to it and not written."""

    def __init__(self, runtime: Runtime) -> None:
        self._journal = runtime._journal
        self._lock = threading.Lock()
        self._waiting = 0
        self.most = 0

    def is_free_for(self, _: UUID) -> bool:
        return False

    def write(self, progress: Progress, on_written: OnWritten, *, may_wait: bool = False) -> None:
        """Write a little later."""
        size = sum(len(row.output or b"") for row in progress.nodes)
        with self._lock:
            self._waiting += size
            self.most = max(self.most, self._waiting)

        def written(error: Exception | None) -> None:
            with self._lock:
                self._waiting -= size
            on_written(error)

        threading.Timer(0.02, self._journal.write, (progress, written)).start()

    def stop(self) -> None:
        """End the real one."""
        self._journal.stop()


def test_a_run_does_not_run_ahead_of_the_journal(bench: Bench):
    writer = bench.runtime._journal = SlowWriter(bench.runtime)  # type: ignore[assignment]
    nodes, pairs = chain(30)
    run = bench.run(nodes, *pairs, value=LARGE)
    assert (run.status, run.output == LARGE) == ("success", True)
    assert 0 < writer.most <= MAX_UNWRITTEN + 2 * len(LARGE)


def test_a_run_that_goes_on_elsewhere_computes_the_same(bench: Bench):
    nodes, pairs = chain(4)
    last = node("last", "output", config={"value": "{{ nodes.n1.output + nodes.n3.output }}"})
    pause = node("w", "wait", config={"seconds": 3600})
    execution_id = bench.submit([*nodes, pause, last], *pairs, "n3>w", "w>last", value="ab")
    bench.runtime.drive(execution_id)
    let_time_pass(bench)
    bench.sql("UPDATE workflow_executions SET wake_at = now()")
    bench.another().drive(execution_id)
    assert bench.execution(execution_id).output == "abab"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_a_process_gives_back_what_large_values_took():
    memory = Memory()
    memory.give_back(is_idle=True)
    before = _resident()
    held = [os.urandom(100_000).hex() for _ in range(1_000)]  # too small to be pages of their own
    pins = [held[index] for index in range(0, 1_000, 50)]
    assert _resident() - before > 4 * GROWN
    del held
    gc.collect()
    memory.give_back(is_idle=True)
    assert _resident() - before < GROWN
    assert len(pins) == 20  # in between, so that nothing is given back without being asked for


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_a_process_that_did_not_grow_is_left_alone():
    """A full collection stops every thread for as long as it takes, so there must be something to gain."""
    generations: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        generations.append(info["generation"])

    gc.callbacks.append(note)
    try:
        Memory().give_back(is_idle=True)
    finally:
        gc.callbacks.remove(note)
    assert 2 not in generations
