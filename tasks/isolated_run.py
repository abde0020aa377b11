"""Drives one run in an isolated process, because the run may kill its process.

`workers/engine/process/isolation.py` starts it:

python -m tasks.isolated_run EXECUTION EPOCH

It takes over the lease of the worker that holds the run in that epoch, drives the run as workers do, and ends. It
releases the run on SIGTERM and when its standard input closes, which means that its worker leaves or has died.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

import logs
import threads
from models.db import connect
from tasks import publisher
from tasks.bootstrap import gateways, isolated_runtime, settings
from tasks.executions import enqueue_next
from telemetry import tracing
from workers.engine.driver.outcomes import DriveResult
from workers.engine.process.isolation import EXIT_UNAVAILABLE, SHUTDOWN_SECONDS

RELEASE_SECONDS = SHUTDOWN_SECONDS - 1.0  # so that its worker still sees it end
LAST_SECONDS = 5.0  # for abandoned calls to return
BROKEN = os.EX_SOFTWARE
# After these results no agent turn is to go on, and OpenClaw may still have to stop the ones that were abandoned.
STOPPED = {DriveResult.ENDED, DriveResult.PARKED}
log = structlog.get_logger()


def main(arguments: Sequence[str]) -> int:
    """Drive the run; returns the exit status: 0 when driving worked, even if the run itself failed."""
    execution_id, epoch = UUID(arguments[0]), int(arguments[1])
    logs.configure(settings.log_format, level=settings.log_level)
    threads.report_unhandled()
    connect(settings.database_url, pool_size=5)
    publisher.install(settings)
    if settings.trace_endpoint:
        tracing.start("isolated", settings.trace_endpoint, settings.trace_headers)
    _prefer_as_oom_victim()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, _leave_soon)
    threads.run_once("worker", _leave_with_the_worker, ends_process=True)
    left = None
    try:
        left = isolated_runtime().drive_alone(execution_id, epoch)
        enqueue_next(execution_id, left)
    except (OperationalError, PoolTimeout) as error:
        log.warning("isolation.unavailable", execution_id=str(execution_id), error=type(error).__name__)
        return EXIT_UNAVAILABLE
    finally:
        if left not in STOPPED:
            gateways().openclaw.close()  # the next driver of the run finds its agent turns by their key
    return BROKEN if left is DriveResult.BROKEN else 0


def _prefer_as_oom_victim() -> None:
    """Make the kernel kill this process rather than the worker when memory runs out (Linux only)."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _leave_soon(*_: Any) -> None:
    threads.run_once("leaving", _leave, ends_process=True)


def _leave_with_the_worker() -> None:
    with suppress(OSError):
        os.read(sys.stdin.fileno(), 1)  # nothing is written to it, so this returns when the worker's end closes
    _leave()


def _leave() -> None:
    if not isolated_runtime().shut_down(RELEASE_SECONDS):
        os._exit(EXIT_UNAVAILABLE)


def _end(status: int) -> None:
    """Exit, at the latest after `LAST_SECONDS`: threads that are no longer needed must not delay it longer."""
    threads.run_once("last", partial(_end_at_last, status))
    sys.exit(status)


def _end_at_last(status: int) -> None:
    time.sleep(LAST_SECONDS)
    os._exit(status)


if __name__ == "__main__":
    _end(main(sys.argv[1:]))
