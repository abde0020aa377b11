"""No thread ends unnoticed: what it raises is logged and counted, and it goes on, or its process ends."""

import ast
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from structlog.typing import EventDict

import threads
from models.db import session_scope
from models.services.operations import thread_failures

ROOT = Path(__file__).parent.parent
PRODUCTION = [
    *ROOT.glob("*.py"),
    *(path for name in ("api", "models", "tasks", "workers", "deploy") for path in (ROOT / name).rglob("*.py")),
]
STARTS = {"Thread", "Timer", "ThreadPoolExecutor", "start_new_thread"}


@pytest.fixture
def lines(committed_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EventDict]]:
    """The logged lines; failures are counted in a private database, and pauses are short."""
    monkeypatch.setattr(threads, "PAUSES", (0.01,))
    monkeypatch.setattr(threads, "_pending", Counter())
    with structlog.testing.capture_logs() as captured:
        yield captured


def counted(name: str, number: int) -> bool:
    """Whether so many failures are stored before long."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with session_scope() as session:
            if thread_failures.counts(session).get(name) == number:
                return True
        time.sleep(0.05)
    return False


class Work:
    """Fails so often, then does what it has to."""

    def __init__(self, failures: int, error: type[BaseException] = ValueError) -> None:
        self.failures, self.error = failures, error
        self.done = threading.Event()

    def __call__(self) -> None:
        if self.failures:
            self.failures -= 1
            raise self.error("odd")
        self.done.set()


def failures_of(lines: list[EventDict], name: str) -> list[EventDict]:
    return [line for line in lines if line["event"] == "thread.failed" and line["thread"] == name]


class TestKeepRunning:
    @pytest.mark.parametrize("error", [ValueError, SystemExit, MemoryError])
    def test_logs_counts_and_goes_on(self, lines, error):
        work = Work(3, error)
        threads.keep_running("busy", work)
        assert work.done.wait(10)
        assert [line["exc_info"] for line in failures_of(lines, "busy")] == [True] * 3
        assert counted("busy", 3)

    def test_ends_when_its_work_is_done(self, lines):
        thread = threads.keep_running("busy", Work(0))
        thread.join(10)
        assert not thread.is_alive()
        threads.store_failures()
        assert counted("busy", 0), "an increase from nothing is not seen as one"

    def test_pauses_longer_after_each_failure_and_forgets_them_in_time(self, lines, monkeypatch):
        pauses: list[float] = []
        monkeypatch.setattr(threads, "PAUSES", (1.0, 2.0))
        monkeypatch.setattr(threads, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pauses.append))
        work = Work(4)
        threads.keep_running("busy", work)
        assert work.done.wait(10)
        monkeypatch.setattr(threads, "REPORTED_FOR_SECONDS", 0.0)
        again = Work(2)
        threads.keep_running("busy", again)
        assert again.done.wait(10)
        monkeypatch.undo()
        assert pauses == [1.0, 2.0, 2.0, 2.0, 1.0, 1.0]


class TestCounts:
    def test_wait_for_a_database_that_is_away(self, lines, monkeypatch):
        with monkeypatch.context() as without:
            without.setattr("models.db.SessionFactory.kw", {})
            work = Work(2)
            threads.keep_running("busy", work)
            assert work.done.wait(10)
            threads.store_failures()
        threads.store_failures()
        assert counted("busy", 2)

    def test_make_health_degraded_for_recent_failures_only(self, lines):
        with session_scope() as session:
            thread_failures.add(session, {"journal": 0, "change-poller": 1})
        with session_scope() as session:
            assert thread_failures.failing(session) == 1
            assert thread_failures.counts(session) == {"journal": 0, "change-poller": 1}


class TestOthers:
    def test_that_run_once_are_logged_and_counted(self, lines):
        threads.run_once("helper", Work(1))
        assert counted("helper", 1)
        assert len(failures_of(lines, "helper")) == 1

    def test_of_a_pool_are_logged_and_counted_without_reading_their_results(self, lines):
        with threads.Pool(2, "pool") as pool:
            future = pool.submit(Work(1))
            assert isinstance(future.exception(10), ValueError)
        assert counted("pool", 1)
        assert len(failures_of(lines, "pool")) == 1

    def test_of_libraries_are_logged_and_counted(self, lines, monkeypatch):
        monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # as it was, afterwards
        threads.report_unhandled()
        stray = threading.Thread(target=Work(1), name="Thread-7 (work)")
        stray.start()
        stray.join()
        assert counted("Thread", 1)


ENDS = """
import logs, threads, time
logs.configure("json")

def fail():
    raise ValueError("odd")

{start}
time.sleep(30)
"""


@pytest.mark.parametrize(
    ("start", "failures"),
    [
        ('threads.keep_running("x", fail, may_fail_again=False)', 2),
        ('threads.run_once("x", fail, ends_process=True)', 1),
    ],
)
def test_a_thread_that_must_not_fail_again_ends_its_process_loudly(start, failures):
    script = [sys.executable, "-c", ENDS.format(start=start)]
    answer = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert answer.returncode == threads.EXIT_STATUS
    assert answer.stdout.count('"event":"thread.failed"') == failures
    assert answer.stdout.count("Traceback") == failures
    [last] = [line for line in answer.stdout.splitlines() if '"event":"process.ends"' in line]
    assert '"level":"critical"' in last


def test_nothing_starts_threads_in_another_way():
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in PRODUCTION
        if path != ROOT / "threads.py"
        for name in names(ast.parse(path.read_text()))
        if name in STARTS
    }
    assert found == set()


def names(tree: ast.AST) -> Iterator[str]:
    """The names that a module calls, derives from, or imports; annotations may name threads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2]
        elif isinstance(node, ast.ClassDef):
            yield from (ast.unparse(base).rpartition(".")[2] for base in node.bases)
        elif isinstance(node, ast.ImportFrom) and node.module in ("threading", "_thread", "concurrent.futures"):
            yield from (alias.name for alias in node.names)
