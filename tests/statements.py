"""Hears what the database and Redis are asked, at the drivers: below everything that may put a statement together."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from psycopg2.extensions import cursor
from redis.connection import Connection
from sqlalchemy.pool.base import _ConnectionFairy

Statement = tuple[str, Any]


@contextmanager
def listening() -> Iterator[list[Statement]]:
    """The statements that this process sends meanwhile, and their parameters; savepoints are those of the tests."""
    heard: list[Statement] = []

    class Hearing(cursor):
        def execute(self, sql: Any, parameters: Any = None) -> None:
            if "SAVEPOINT" not in sql:
                heard.append((sql, parameters))
            super().execute(sql, parameters)

    def hear(self: Any, *args: Any, **options: Any) -> Any:
        return self.dbapi_connection.cursor(*args, cursor_factory=Hearing, **options)

    with patch.object(_ConnectionFairy, "cursor", hear):
        yield heard


@contextmanager
def listening_to_redis() -> Iterator[list[bytes]]:
    """The commands that this process sends meanwhile."""
    heard: list[bytes] = []
    send = Connection.send_packed_command

    def hear(self: Any, command: Any, *args: Any, **options: Any) -> Any:
        heard.append(b"".join(command) if isinstance(command, list) else command)
        return send(self, command, *args, **options)

    with patch.object(Connection, "send_packed_command", hear):
        yield heard
