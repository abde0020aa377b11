"""A ward: the process in which a run is driven that may kill its own. Workers start it (`workers/engine/wards.py`):

python -m tasks.ward EXECUTION EPOCH

It takes the run over from the worker that holds it in that epoch, drives it as workers do, and ends. It hands the run
over when it is told to stop, and when its standard input ends: its worker leaves or has died.
"""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

import logs
from celery_config import settings
from models.db import connect
from tasks.executions import call_others
from tasks.lifecycle import gateways, ward_runtime
from workers.engine.endings import Left
from workers.engine.wards import LEAVING_SECONDS, REFUSED

HANDING_OVER_SECONDS = LEAVING_SECONDS - 1.0  # so that its worker still sees it end
LAST_SECONDS = 5.0  # for calls that were given up to come back
BROKEN = os.EX_SOFTWARE
STOPPED = {Left.ENDED, Left.PARKED}  # no turn is to go on, and those that were given up may be about to be stopped
log = structlog.get_logger()


def main(arguments: Sequence[str]) -> int:
    """Drive the run; answers the exit status: 0 when all is in order, whatever became of the run."""
    execution_id, epoch = UUID(arguments[0]), int(arguments[1])
    logs.configure(settings.log_format)
    connect(settings.database_url, pool_size=5)
    _be_the_first_to_go()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, _leave_soon)
    threading.Thread(target=_leave_with_the_worker, name="worker", daemon=True).start()
    left = None
    try:
        left = ward_runtime().drive_alone(execution_id, epoch)
        call_others(execution_id, left)
    except (OperationalError, PoolTimeout) as error:
        log.warning("ward.refused", execution_id=str(execution_id), error=type(error).__name__)
        return REFUSED
    finally:
        if left not in STOPPED:
            gateways().openclaw.close()  # whoever goes on with the run finds its turns by their key
    return BROKEN if left is Left.BROKEN else 0


def _be_the_first_to_go() -> None:
    """When memory runs out the kernel shall end this process, and not the worker beside it. Only Linux has this."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _leave_soon(*_: Any) -> None:
    threading.Thread(target=_leave, name="leaving", daemon=True).start()


def _leave_with_the_worker() -> None:
    with suppress(OSError):
        os.read(sys.stdin.fileno(), 1)  # nobody writes: it returns when the other end is closed
    _leave()


def _leave() -> None:
    if not ward_runtime().leave(HANDING_OVER_SECONDS):
        os._exit(REFUSED)


def _end(status: int) -> None:
    """Do not wait for ever for threads that nobody needs any more."""
    last = threading.Timer(LAST_SECONDS, os._exit, [status])
    last.daemon = True
    last.start()
    sys.exit(status)


if __name__ == "__main__":
    _end(main(sys.argv[1:]))
