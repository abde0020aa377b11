"""Records the statements sent to the database and the commands sent to Redis, at the drivers."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import get_ident
from typing import Any
from unittest.mock import patch

from psycopg2.extensions import cursor
from redis.connection import Connection
from sqlalchemy.pool.base import _ConnectionFairy

Statement = tuple[str, Any]
_OPENING = re.compile(r"BEGIN ISOLATION LEVEL READ COMMITTED; (SET LOCAL [^;]*; )*")  # of a transaction


@contextmanager
def recorded_statements(*, are_prepared: bool = False) -> Iterator[list[Statement]]:
    """The statements that this process sends in the block, with parameters; without transaction control.

    Unless `are_prepared`, none is prepared, so that all can be read and explained.
    """
    recorded: list[Statement] = []

    class RecordingCursor(cursor):
        def execute(self, sql: Any, parameters: Any = None) -> None:
            statement = _OPENING.sub("", sql)
            if not statement.startswith(("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK", "COMMIT")):
                recorded.append((statement, parameters))
            super().execute(sql, parameters)

    def record(self: Any, *args: Any, **options: Any) -> Any:
        return self.dbapi_connection.cursor(*args, cursor_factory=RecordingCursor, **options)

    with ExitStack() as patches:
        patches.enter_context(patch.object(_ConnectionFairy, "cursor", record))
        if not are_prepared:
            patches.enter_context(patch("models.raw_statement.prepared_statements", lambda connection: None))
        yield recorded


@contextmanager
def recorded_commands(*, of_thread: int | None = None) -> Iterator[list[bytes]]:
    """The commands that this process, or one of its threads, sends to Redis in the block."""
    recorded: list[bytes] = []
    send = Connection.send_packed_command

    def record(self: Any, command: Any, *args: Any, **options: Any) -> Any:
        if of_thread in (None, get_ident()):
            recorded.append(b"".join(command) if isinstance(command, list) else command)
        return send(self, command, *args, **options)

    with patch.object(Connection, "send_packed_command", record):
        yield recorded
