"""Named points of a worker or an API process at which a test may let something happen, once per wish.

A test writes a file named after the point; whichever process comes there first takes the file away and obeys it.
Production has no such points: they are patched in by `worker_app` and `api_app`, which only tests start.
"""

import os
import signal
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

DIRECTORY = Path(os.environ.get("FAULT_POINTS", "/nonexistent"))


def at(point: str) -> None:
    """Obey the wish for `point`, if there is one."""
    file = DIRECTORY / point
    try:
        wish = file.read_text()
        file.unlink()
    except FileNotFoundError:  # nobody wishes anything, or another process was faster
        return
    match wish.split():
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["stop"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        case ["sleep", seconds]:
            time.sleep(float(seconds))
        case ["refuse"]:
            raise OSError("refused by a test")


def around(function: Callable[..., Any], *, before: str = "", after: str = "") -> Callable[..., Any]:
    """`function` with points before it begins and after it returned."""

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            at(before)
        result = function(*args, **kwargs)
        if after:
            at(after)
        return result

    return wrapped
