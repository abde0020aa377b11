"""Whether this process may get requests: its database answers and is not behind, and it is not about to end."""

import threading
from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

import revisions
from models.db import SessionFactory


class Readiness:
    """The readiness of one process. Once the database is not behind, its revision is not read again."""

    def __init__(self, is_draining: Callable[[], bool]) -> None:
        self._is_draining = is_draining
        self._is_migrated = threading.Event()

    def is_ready(self) -> bool:
        """Whether a load balancer should send requests here."""
        return not self._is_draining() and self._database_is_usable()

    def _database_is_usable(self) -> bool:
        try:
            with SessionFactory() as session:
                session.execute(text("SELECT 1"))
                if not self._is_migrated.is_set() and not revisions.is_behind(session):
                    self._is_migrated.set()
        except SQLAlchemyError:
            return False
        return self._is_migrated.is_set()
