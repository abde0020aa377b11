"""Clients that wait in threads of their own, on a database that really commits."""

import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.live.change_notifier import ChangeNotifier
from models.changes import notify_changed
from models.db import session_scope
from models.tables import Execution, ExecutionEvent
from tests.support import factories


def until(holds: Callable[[], Any], seconds: float = 20) -> None:
    """Return once it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.005)


class Asking:
    """One request under way in a thread of its own, as soon as it waits for a change."""

    def __init__(self, client: FlaskClient, notifier: ChangeNotifier, path: str, **options: Any) -> None:
        before = len(notifier)
        self._answers: list[TestResponse] = []
        self._thread = threading.Thread(target=lambda: self._answers.append(client.open(path, **options)), daemon=True)
        self._thread.start()
        until(lambda: len(notifier) > before or self._answers)

    def answer(self, seconds: float = 20) -> TestResponse:
        """The response."""
        self._thread.join(seconds)
        assert self._answers, "it still waits"
        return self._answers[0]

    @property
    def is_waiting(self) -> bool:
        """Whether there is no answer yet."""
        return not self._answers


def happen(run: str, *, tell: bool = True, **columns: Any) -> None:
    """Add one more event to a run, as a worker does; `tell=False` loses the message about it."""
    with session_scope() as session:
        row = session.get_one(Execution, UUID(run), with_for_update=True)
        row.last_seq += 1
        factories.reach(session, row, columns.get("status", row.status))
        for name, value in columns.items():
            setattr(row, name, value)
        session.add(ExecutionEvent(execution_id=row.id, seq=row.last_seq, type="node.success", message="It ran."))
        if tell:
            notify_changed(session, row.id)
