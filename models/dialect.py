"""A PostgreSQL dialect for connections through a pooler: all settings hold for a transaction, none for a session.

A pooler in transaction mode rejects `options` on connecting, and runs each transaction on any of its connections, so
settings and locks of a session would affect other clients. Therefore the settings are sent together with `BEGIN`, and
both in the message of the transaction's first statement, which costs no round trip: a transaction without a statement
sends nothing. psycopg2's autocommit mode keeps it from sending a `BEGIN` of its own.
Where no pooler is between, the settings are made once for a connection, because each costs PostgreSQL as much as a
short statement.
"""

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakSet

from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine.interfaces import DBAPIConnection

SCHEME = "postgresql+pooled"  # selects this dialect in an address
UTC = {"TimeZone": "UTC"}
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"

registry.register(SCHEME.replace("+", "."), __name__, "PooledDialect")


# What is prepared is planned once. PostgreSQL would plan some statements each time, for what they are given: that took
# half a millisecond for the places of some runs in the queue, which took a fifth to find.
GENERIC_PLANS = "force_generic_plan"


class PooledDialect(PGDialect_psycopg2):
    """Begins each transaction with its settings, at the isolation level READ COMMITTED, which the code expects."""

    supports_statement_cache = True

    def __init__(self, transaction_settings: Mapping[str, str] = UTC, **options: Any) -> None:
        """`transaction_settings` are run-time parameters of PostgreSQL by name, set in each transaction."""
        # With hstore each new connection would query a type that the database does not have.
        super().__init__(use_native_hstore=False, **options)  # type: ignore[no-untyped-call]
        self._settings = dict(transaction_settings)
        self._local = [f"SET LOCAL {name} = '{value}'" for name, value in transaction_settings.items()]
        self._begin = "; ".join([BEGIN, *self._local])
        self._autocommitting = WeakSet[Any]()
        self._unopened = WeakSet[Any]()  # connections whose transaction has had no statement yet
        self._set_up = WeakSet[Any]()  # connections whose session has the settings

    def on_connect(self) -> Callable[[DBAPIConnection], None] | None:
        """Keep the driver from beginning transactions of its own."""
        further = super().on_connect()  # type: ignore[no-untyped-call]

        def connected(connection: DBAPIConnection) -> None:
            connection.autocommit = True
            if further:
                further(connection)

        return connected

    def do_begin(self, dbapi_connection: Any) -> None:
        """Let the first statement begin a transaction, unless the connection is in `AUTOCOMMIT` mode."""
        connection = _driver_connection(dbapi_connection)
        if connection not in self._autocommitting:
            self._unopened.add(connection)

    def opened(self, connection: Any, statement: str) -> str:
        """The message for `statement`, which opens the transaction if it is the first one of psycopg2's connection."""
        if connection not in self._unopened:
            return statement
        self._unopened.discard(connection)
        return f"{self._opening(connection)}; {statement}"

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Execute one statement."""
        message = self.opened(cursor.connection, statement)
        super().do_execute(cursor, message, parameters, context)  # type: ignore[no-untyped-call]

    def do_execute_no_params(self, cursor: Any, statement: str, context: Any = None) -> None:
        """Execute a statement without parameters."""
        message = self.opened(cursor.connection, statement)
        super().do_execute_no_params(cursor, message, context)  # type: ignore[no-untyped-call]

    def do_executemany(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Execute a statement with many sets of parameters, which may take several messages."""
        if cursor.connection in self._unopened:
            self._unopened.discard(cursor.connection)
            _run(cursor.connection, self._opening(cursor.connection))
        super().do_executemany(cursor, statement, parameters, context)  # type: ignore[no-untyped-call]

    def _opening(self, connection: Any) -> str:
        return BEGIN if connection in self._set_up else self._begin

    def set_up(self, dbapi_connection: Any) -> None:
        """Make the settings for all transactions of a connection that no pooler shares with other clients."""
        settings = self._settings | {
            "default_transaction_isolation": "read committed",
            "plan_cache_mode": GENERIC_PLANS,
        }
        _run(dbapi_connection, "; ".join(f"SET {name} = '{value}'" for name, value in settings.items()))
        self._set_up.add(_driver_connection(dbapi_connection))

    def in_one_message(self, statement: str, dbapi_connection: Any) -> str:
        """Make a transaction with its settings of one statement; PostgreSQL commits at the end of the message.

        It is for connections on which no transaction was begun.
        """
        if _driver_connection(dbapi_connection) in self._set_up:
            return statement
        return "; ".join(["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", *self._local, statement])

    def do_commit(self, dbapi_connection: Any) -> None:
        """Commit if a transaction is open."""
        self._unopened.discard(_driver_connection(dbapi_connection))
        if dbapi_connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            _run(dbapi_connection, "COMMIT")

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Roll back if a transaction is open."""
        self._unopened.discard(_driver_connection(dbapi_connection))
        if dbapi_connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            _run(dbapi_connection, "ROLLBACK")

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """Take `READ COMMITTED`, or `AUTOCOMMIT` for statements that PostgreSQL does not run in a transaction.

        Another level would be a setting of the session. With `AUTOCOMMIT`, `transaction_settings` do not apply.
        """
        if level == "AUTOCOMMIT":
            self._autocommitting.add(dbapi_connection)
        elif level == self.default_isolation_level:
            self._autocommitting.discard(dbapi_connection)
        else:
            raise NotImplementedError(f"Transactions are {self.default_isolation_level}, not {level}.")


def _driver_connection(connection: Any) -> Any:
    """psycopg2's connection, which the pool lends in a wrapper."""
    return getattr(connection, "driver_connection", connection)


def _run(connection: Any, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
