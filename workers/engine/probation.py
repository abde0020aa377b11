"""Tells the run that kills its workers from those that were merely beside it.

All runs that a dead worker drove are suspects. In each process they begin one after another, a moment apart, and a
suspect that lives through its moment is trusted again. So whoever kills the next worker dies on probation, alone.
"""

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()

MOMENT = 1.0  # seconds; what kills its worker later than that is found by the number of its crashes
_LOOK = 0.1


class Probation:
    """One for each process. Thread-safe."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    def enter(self, *, stop: Callable[[], bool], on_passed: Callable[[], None]) -> Callable[[], None] | None:
        """Wait for a turn; answers how to leave early. None if `stop()` became true meanwhile, or nobody can watch.

        `on_passed` is called, in another thread, by a suspect that is still there after its moment.
        """
        while not self._turn.acquire(timeout=_LOOK):
            if stop():
                return None
        over = threading.Event()

        def watch() -> None:
            try:
                if not over.wait(MOMENT):
                    on_passed()
            finally:
                self._turn.release()

        try:
            threading.Thread(target=watch, name="probation", daemon=True).start()
        except RuntimeError as error:  # no room for a thread: the turn must not be lost with it
            self._turn.release()
            log.warning("probation.not_watched", error=str(error))
            return None
        return over.set
