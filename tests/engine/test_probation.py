"""Suspects stand in a line of their own, in which nobody is forgotten."""

import threading
import time

import pytest

from tests.engine.conftest import Bench, call, cancel
from workers.engine import probation
from workers.engine.endings import Left
from workers.engine.probation import Probation


def test_a_suspect_in_line_hears_of_a_cancel(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(probation, "MOMENT", 60)
    bench.world.on("a", bench.world.hang)
    first, second = bench.submit([call("a")]), bench.submit([call("b")])
    for execution_id in (first, second):
        bench.crash(execution_id)
    runtime = bench.another()
    watched = bench.in_background(first, runtime)
    assert bench.world.arrived.wait(10)
    in_line = bench.in_background(second, runtime)
    time.sleep(0.3)
    cancelled_at = time.monotonic()
    cancel(bench, second)
    assert in_line() is Left.ENDED
    assert time.monotonic() - cancelled_at < 2
    assert (bench.execution(second).status, bench.world.calls["b"]) == ("cancelled", 0)
    bench.world.release.set()
    assert watched() is Left.ENDED


def test_a_turn_that_nobody_could_watch_is_given_back(monkeypatch: pytest.MonkeyPatch):
    line = Probation()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert line.enter(stop=lambda: False, on_passed=lambda: None) is None
    leave = line.enter(stop=lambda: True, on_passed=lambda: None)
    assert leave
    leave()
