"""Isolated processes without processes: stand-ins that drive the run or die."""

import threading
from collections.abc import Callable
from uuid import UUID

from models.db import session_scope
from models.services.orchestration import isolated_runs
from workers.engine.driver.outcomes import DriveResult
from workers.engine.process.isolation import IsolatedProcess
from workers.engine.process.runtime import Runtime


class Elsewhere:
    """Drives the run with its own engine, as `tasks.isolated_run` does."""

    def __init__(self, runtime: Runtime, execution_id: UUID, epoch: int) -> None:
        self._runtime = runtime
        self._status = 0
        self._thread = threading.Thread(target=self._run, args=(execution_id, epoch))
        self._thread.start()

    def wait(self, seconds: float) -> int | None:
        self._thread.join(seconds)
        return None if self._thread.is_alive() else self._status

    def shut_down(self) -> None:
        self._runtime.shut_down(5)

    def kill(self) -> None:
        raise AssertionError("it goes on")

    def _run(self, execution_id: UUID, epoch: int) -> None:
        if self._runtime.drive_alone(execution_id, epoch) is DriveResult.BROKEN:
            self._status = 70


class Dead:
    """Takes the run over, unless it is `early`, and ends with `status`; with None it hangs until it is killed."""

    def __init__(self, execution_id: UUID, epoch: int, status: int | None, *, early: bool = False) -> None:
        self._status = status
        if not early:
            with session_scope() as session:
                assert isolated_runs.transfer_lease(session, execution_id, epoch, owner="isolated:dead", seconds=30)

    def wait(self, seconds: float) -> int | None:
        if self._status is None:
            threading.Event().wait(min(seconds, 0.05))
        return self._status

    def shut_down(self) -> None:
        """Ignore the request."""

    def kill(self) -> None:
        self._status = -9


def dying(status: int | None, *, early: bool = False) -> Callable[[UUID, int], IsolatedProcess]:
    """Start isolated processes that end in this way."""
    return lambda execution_id, epoch: Dead(execution_id, epoch, status, early=early)
