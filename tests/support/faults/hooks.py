"""Hooks at named points of a worker or an API process, where a test can inject a fault, once per request.

A test writes a file named after the hook; the first process that reaches the hook removes the file and injects the
fault. Production has no such hooks: `worker_app` and `api_app`, which only tests start, patch them in.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

DIRECTORY = Path(os.environ.get("FAULT_POINTS", "/nonexistent"))


def at(point: str) -> None:
    """Inject the fault requested for `point`, if there is one."""
    file = DIRECTORY / point
    try:
        requested = file.read_text()
        file.unlink()
    except FileNotFoundError:  # no fault is requested, or another process was faster
        return
    match requested.split():
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["stop"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        case ["sleep", seconds]:
            time.sleep(float(seconds))
        case ["refuse"]:
            raise OSError("refused by a test")
        case ["raise"]:
            raise LookupError("raised by a test, unexpectedly")


def around(function: Callable[..., Any], *, before: str = "", after: str = "") -> Callable[..., Any]:
    """Wrap `function` with hooks before it begins and after it returned."""

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            at(before)
        result = function(*args, **kwargs)
        if after:
            at(after)
        return result

    return wrapped


def in_thread(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `function` with a hook `thread-NAME` that applies in the thread of that name."""
    pointed = around(function, before=f"thread-{name}")

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        chosen = pointed if threading.current_thread().name == name else function
        return chosen(*args, **kwargs)

    return wrapped
