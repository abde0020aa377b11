"""Returns memory freed after large values to the operating system.

The allocator of glibc keeps freed memory: it adapts to serve large blocks from its arenas, which shrink at their ends
only, and a process of many threads has many arenas.
"""

import ctypes
import gc
import resource
import threading
import time
from contextlib import suppress
from pathlib import Path

MMAP_THRESHOLD = 256 * 1024  # bytes; larger blocks are mapped separately, and returned when they are freed
MAX_ARENAS = 4
GROWN = 32 * 1024 * 1024  # bytes of growth from which trimming is worth it
PAUSE = 10.0  # seconds between two trims while other runs are driven
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h


def _libc() -> ctypes.CDLL | None:
    """The C library if it is glibc, else None."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        if library.malloc_trim and library.mallopt:
            return library
    return None


class Memory:
    """The memory of a process. Thread-safe; does nothing with another allocator than glibc's."""

    def __init__(self) -> None:
        self._libc = _libc()
        self._lock = threading.Lock()
        self._trimmed_at = 0.0
        self._least = _resident() if self._libc else 0  # bytes at the start, then after the last trim

    def bound(self) -> None:
        """Map large blocks separately and use few arenas. Call once, at the process's start."""
        if self._libc:
            self._libc.mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD)
            self._libc.mallopt(_M_ARENA_MAX, MAX_ARENAS)

    def give_back(self, *, is_idle: bool) -> None:
        """Return freed memory to the system after a large run; while other runs are driven, once per `PAUSE`."""
        with self._lock:
            now = time.monotonic()
            if not self._libc or (not is_idle and now - self._trimmed_at < PAUSE) or _resident() < self._least + GROWN:
                return
            self._trimmed_at = now
            gc.collect()  # drivers and their parts refer to each other
            self._libc.malloc_trim(0)
            self._least = _resident()


def _resident() -> int:
    """The resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
