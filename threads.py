"""Starts the threads of this service, so that none of them ends unnoticed.

`keep_running` starts a thread that lives as long as its process: its exceptions are logged with their traceback and
counted, and it goes on after a pause. `run_once` starts a short-lived thread and `Pool` is a pool of threads: their
exceptions are logged and counted too, but they are not started again. Counts are stored in the database
(`models.services.operations.thread_failures`), so that the API's metrics have those of all processes.
"""

import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import NoReturn, ParamSpec, TypeVar

import structlog

from models.db import session_scope
from models.services.operations import thread_failures

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()

PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before a thread goes on, by failures in a row
REPORTED_FOR_SECONDS = 600.0  # without a failure, after which failures are counted from one again
EXIT_STATUS = os.EX_SOFTWARE
LAST_SECONDS = 3.0  # for storing the counts of a process that ends

_NUMBER = re.compile(r"[-_ ]?\d.*")  # the end of the names that libraries give to their threads

counted: Counter[str] = Counter()  # of this process, by thread
_pending: Counter[str] = Counter()  # failures that are not stored yet, by thread
_pending_lock = threading.Lock()
_storing = threading.Lock()


def keep_running(name: str, work: Callable[[], None], *, may_fail_again: bool = True) -> threading.Thread:
    """Start a thread that calls `work` until it returns; after an exception `work` is called again.

    Args:
        name: name of the thread, in logs and metrics.
        work: must be safe to call again after it raised at any of its lines.
        may_fail_again: if false, the second failure within ten minutes ends the process, so that its supervisor starts
            a new one. For threads that others rely on and whose state is in doubt when they fail again.
    """
    with _pending_lock:
        counted[name] += 0
        _pending[name] += 0  # stores a zero, so that metrics show the first failure as an increase
    return _start(name, partial(_go_on, name, work, may_fail_again))


def run_once(name: str, work: Callable[[], None], *, ends_process: bool = False, daemon: bool = True) -> None:
    """Start a thread that calls `work` once; with `ends_process`, an exception ends the process."""
    _start(name, partial(_do_once, name, work, ends_process), daemon=daemon)


def report_failure(name: str) -> None:
    """Log the exception that is being handled, with its traceback, and count it for the thread `name`."""
    log.exception("thread.failed", thread=name)
    with _pending_lock:
        _pending[name[:60]] += 1
        counted[name[:60]] += 1
    with suppress(RuntimeError):  # the system allows no more threads: the counts are stored later
        _start("thread-failures", store_failures)  # a thread of its own, because the database may be the failure


def store_failures() -> None:
    """Store the pending counts; if that fails, they stay pending and are stored later."""
    with _storing:
        with _pending_lock:
            failures = dict(_pending)
            _pending.clear()
        if not failures:
            return
        try:
            with session_scope() as session:
                thread_failures.add(session, failures)
        except Exception as error:
            log.warning("thread.failures_not_stored", error=type(error).__name__)
            with _pending_lock:
                _pending.update(failures)


def report_unhandled() -> None:
    """Log and count unhandled exceptions in threads that libraries started."""
    threading.excepthook = _on_unhandled


class Pool(ThreadPoolExecutor):
    """A thread pool that logs and counts the exceptions of its work, even if no code reads the future."""

    def __init__(self, max_workers: int, name: str) -> None:
        super().__init__(max_workers, thread_name_prefix=name)
        self._name = name

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedule `fn` as `ThreadPoolExecutor.submit` does."""
        work = partial(copy_context().run, partial(fn, *args, **kwargs))  # logs the ids that its caller does
        return super().submit(_reported, self._name, work)


def _start(name: str, run: Callable[[], None], *, daemon: bool = True) -> threading.Thread:
    thread = threading.Thread(target=run, name=name, daemon=daemon)
    thread.start()
    return thread


def _go_on(name: str, work: Callable[[], None], may_fail_again: bool) -> None:
    failures, failed_at = 0, 0.0
    while True:
        try:
            work()
            return
        except BaseException:  # SystemExit would end a thread silently, and no caller is above this frame
            report_failure(name)
        now = time.monotonic()
        failures = failures + 1 if failures and now - failed_at < REPORTED_FOR_SECONDS else 1
        failed_at = now
        if failures > 1 and not may_fail_again:
            _end_process(name)
        time.sleep(PAUSES[min(failures, len(PAUSES)) - 1])


def _do_once(name: str, work: Callable[[], None], ends_process: bool) -> None:
    try:
        work()
    except BaseException:
        report_failure(name)
        if ends_process:
            _end_process(name)


def _reported(name: str, work: Callable[[], T]) -> T:
    try:
        return work()
    except BaseException:
        report_failure(name)
        raise


def _on_unhandled(failed: threading.ExceptHookArgs) -> None:
    thread = failed.thread.name if failed.thread else "unknown"
    try:
        raise failed.exc_value or failed.exc_type()
    except BaseException:
        report_failure(_NUMBER.sub("", thread))


def _end_process(name: str) -> NoReturn:
    """End the process at once; a graceful end would block, because other threads wait for the one that failed."""
    log.critical("process.ends", thread=name, status=EXIT_STATUS)
    _start("thread-failures", store_failures).join(LAST_SECONDS)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_STATUS)
