"""Child processes that never outlive their parent, and lock files."""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class DevstackError(Exception):
    """A failure of the one-machine stack; its text is one sentence for the user."""


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    output: int | IO[bytes],
    cwd: Path,
    death_signal: int = signal.SIGKILL,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` in its own process group, so that Ctrl-C reaches only us and we stop it in order.

    Args:
        env: the whole environment of the child.
        output: receives its stdout and stderr.
        death_signal: the signal that the kernel sends the child when the calling *thread* ends (Linux only).
        keep_open: descriptors that the child inherits, such as the one that holds a lock.
    """
    parent = os.getpid()

    def before_exec() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # the parent ended before the line above
            os._exit(1)

    return subprocess.Popen(
        command,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=before_exec,
        pass_fds=tuple(keep_open),
    )


def adopt_orphans() -> None:
    """Make orphaned descendants our children (Linux only), so that they are reaped."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a process of `spawn` and all its descendants in its group."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:  # macOS raises this for a group of zombies
        pass


def wait_until(holds: Callable[[], bool], *, seconds: float, otherwise: Callable[[], str]) -> None:
    """Return once `holds()`; raises `DevstackError` with the sentence of `otherwise` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise DevstackError(otherwise())
        time.sleep(0.02)


def try_lock(path: Path) -> int | None:
    """Take the lock file at `path`; return its descriptor, or None when another process holds it.

    The lock ends when the last process that inherited the descriptor ends, however it ends.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path` for a short while, after waiting for it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_private(path: Path, text: str) -> None:
    """Replace the file at `path` atomically with `text`, readable by its owner only."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
