"""Wards without processes: as far as the engine can tell, they drive or die elsewhere."""

import threading
from collections.abc import Callable
from uuid import UUID

from models.db import session_scope
from models.services import wards
from workers.engine.endings import Left
from workers.engine.runtime import Runtime
from workers.engine.wards import Ward


class Elsewhere:
    """Drives the run with an engine of its own, as `tasks.ward` does."""

    def __init__(self, runtime: Runtime, execution_id: UUID, epoch: int) -> None:
        self._runtime = runtime
        self._status = 0
        self._thread = threading.Thread(target=self._run, args=(execution_id, epoch))
        self._thread.start()

    def wait(self, seconds: float) -> int | None:
        self._thread.join(seconds)
        return None if self._thread.is_alive() else self._status

    def leave(self) -> None:
        self._runtime.leave(5)

    def kill(self) -> None:
        raise AssertionError("it goes on")

    def _run(self, execution_id: UUID, epoch: int) -> None:
        if self._runtime.drive_alone(execution_id, epoch) is Left.BROKEN:
            self._status = 70


class Dead:
    """Takes the run over, unless it is `early`, and ends with `status`; None: it hangs until it is killed."""

    def __init__(self, execution_id: UUID, epoch: int, status: int | None, *, early: bool = False) -> None:
        self._status = status
        if not early:
            with session_scope() as session:
                assert wards.adopt(session, execution_id, epoch, owner="ward:dead", seconds=30)

    def wait(self, seconds: float) -> int | None:
        if self._status is None:
            threading.Event().wait(min(seconds, 0.05))
        return self._status

    def leave(self) -> None:
        """It does not hear."""

    def kill(self) -> None:
        self._status = -9


def dying(status: int | None, *, early: bool = False) -> Callable[[UUID, int], Ward]:
    """Starts wards that die so."""
    return lambda execution_id, epoch: Dead(execution_id, epoch, status, early=early)
