"""Frequent statements, which are executed by the driver directly.

SQLAlchemy's work around a short statement takes several times longer than the statement. Here SQLAlchemy compiles the
text once and provides the connection, so the statement runs in the session's transaction and raises its errors.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache, partial
from itertools import count
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Dialect, Engine, Enum, Select, TextClause, inspect, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.orm.attributes import instance_dict
from sqlalchemy.pool import PoolProxiedConnection

from models.base import Base
from models.db import UNFIT, SessionFactory, prepared_statements
from models.dialect import PooledDialect

E = TypeVar("E", bound=Base)

# In the `info` of a session that reads: until something else begins its transaction, each statement is one of its own,
# which takes no round trip to end. At READ COMMITTED a common transaction would show it nothing else.
READS_ALONE = "reads_alone"

_DIALECT = make_url("postgresql+psycopg2://").get_dialect()()
_NUMBERED: Dialect = make_url("postgresql+psycopg2://").get_dialect()(paramstyle="numeric_dollar")  # type: ignore[call-arg]
_numbers = count(1)


class RawStatement:
    """A compiled statement; an SQL text names its parameters `:name`.

    The driver converts values and columns: ids, decimals, times and JSON are as everywhere, but enums are text.
    """

    def __init__(self, statement: str | Select[Any], **parts: str) -> None:
        """Replace each name of `parts` in an SQL text by its SQL, and compile the statement."""
        self._made = assembled(statement, **parts) if isinstance(statement, str) else statement
        compiled = self._made.compile(dialect=_DIALECT)
        self.sql = str(compiled)
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}

    def rows(self, session: Session, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Execute the statement with `values` for its parameters and return all rows; raises as SQLAlchemy does."""
        if READS_ALONE in session.info and (engine := _free_engine(session)):
            lent = self._lend(engine)
            try:
                return self._rows_on(lent, engine, values)
            except OperationalError as error:
                if not error.connection_invalidated:
                    raise  # else the session tries again, and discards the pool's other connections if they are lost
        connection = session.connection()
        sql = self._message(connection)
        try:
            cursor = connection.connection.cursor()
            cursor.execute(sql, {**self._fixed, **values})
            found = cursor.fetchall()
            cursor.close()
        except connection.dialect.loaded_dbapi.Error as error:
            if getattr(error, "pgcode", None) in UNFIT:
                connection.invalidate(error)
                raise self._lost(error) from error
            if connection.connection.closed:  # executed by SQLAlchemy, this discards the pool's other connections too
                connection.exec_driver_sql(self.sql, values)
            raise self._failed(error) from error
        return list(found)

    def rows_alone(self, values: Mapping[str, Any], *, before: "RawStatement | None" = None) -> list[tuple[Any, ...]]:
        """Execute the statement as a transaction of its own, without a session; committed when this returns.

        Raises as `rows` does. Only the one connection that is lost is discarded, so a retry should be made in a
        session. A statement `before` it belongs to the same message and transaction, and its rows are dropped.
        """
        engine = cast("Engine", SessionFactory.kw["bind"])
        return self._rows_on(self._lend(engine), engine, values, before)

    def _lend(self, engine: Engine) -> PoolProxiedConnection:
        try:
            return engine.raw_connection()
        except engine.dialect.loaded_dbapi.Error as error:  # of a new connection; the pool raises the driver's own
            raise self._lost(error) from error

    def _rows_on(
        self,
        lent: PoolProxiedConnection,
        engine: Engine,
        values: Mapping[str, Any],
        before: "RawStatement | None" = None,
    ) -> list[tuple[Any, ...]]:
        try:
            statement = self._statement(lent.info, partial(_run, lent))
            if before:
                statement = f"{before.sql}; {statement}"
            message = cast("PooledDialect", engine.dialect).in_one_message(statement, lent)
            cursor = lent.cursor()
            cursor.execute(message, {**self._fixed, **values})
            found = cursor.fetchall()
            cursor.close()
        except engine.dialect.loaded_dbapi.Error as error:
            if lent.closed or getattr(error, "pgcode", None) in UNFIT:
                lent.invalidate(error)
                raise self._lost(error) from error
            raise self._failed(error) from error
        finally:
            lent.close()
        return list(found)

    def _lost(self, error: Exception) -> OperationalError:
        """The error for a connection that is lost or has to be replaced."""
        return OperationalError(self.sql, None, error, hide_parameters=True, connection_invalidated=True)

    def _failed(self, error: Exception) -> Exception:
        return DBAPIError.instance(self.sql, None, error, type(error), hide_parameters=True)

    def first(self, session: Session, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Execute the statement and return the first row, or None."""
        found = self.rows(session, values)
        return found[0] if found else None

    def first_at_once(self, session: Session, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Execute the statement as `first` does, but commit it if the session has begun no transaction.

        Then it is one message, and of lost connections only this one is discarded.
        """
        if engine := _free_engine(session):
            found = self._rows_on(self._lend(engine), engine, values)
            return found[0] if found else None
        return self.first(session, values)

    def _message(self, connection: Connection) -> str:
        """The SQL to send: with the opening of its transaction, or as a whole one in a `single_statement_scope`."""
        sql = self._statement(connection.info, connection.exec_driver_sql)
        dialect = cast("PooledDialect", connection.dialect)
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            return dialect.in_one_message(sql, connection.connection)
        return dialect.opened(connection.connection.driver_connection, sql)

    def _statement(self, info: dict[str, Any], run: Callable[[str], object]) -> str:
        """The SQL for a connection with this `info`, on which `run` executes what has to be executed before."""
        return self.sql


class PreparedStatement(RawStatement):
    """A statement with parameters that each connection plans once, because to plan it takes longer than to execute it.

    Behind a pooler, where a prepared statement would be another client's, it is planned each time.
    """

    def __init__(self, statement: str | Select[Any], **parts: str) -> None:
        super().__init__(statement, **parts)
        numbered = self._made.compile(dialect=_NUMBERED)
        self._name = f"statement_{next(_numbers)}"  # of this process, whose connections no other process uses
        self._prepare = f"PREPARE {self._name} AS {numbered}".replace("%", "%%")
        self._execute = f"EXECUTE {self._name} ({', '.join(f'%({name})s' for name in numbered.positiontup or ())})"

    def _statement(self, info: dict[str, Any], run: Callable[[str], object]) -> str:
        prepared = prepared_statements(info)
        if prepared is None:
            return self.sql
        if self._name not in prepared:
            run(self._prepare)
            prepared.add(self._name)
        return self._execute


@contextmanager
def reading_scope() -> Iterator[Session]:
    """Open a session that only reads, whose raw statements take no transaction around them."""
    with SessionFactory(info={READS_ALONE: True}) as session:
        yield session


def _free_engine(session: Session) -> Engine | None:
    """The engine of a session that has begun no transaction."""
    return session.bind if not session.in_transaction() and isinstance(session.bind, Engine) else None


def _run(connection: PoolProxiedConnection, sql: str) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(sql, ())


def assembled(statement: str, **parts: str) -> TextClause:
    """SQL text in which each name of `parts` is replaced by its SQL: a constant of ours, never a value."""
    for name, part in parts.items():
        statement = statement.replace(name, part)
    return text(statement)


def columns(kind: type[Base]) -> Sequence[Any]:
    """The columns that a statement has to select for an object of `kind`."""
    return [attribute.columns[0] for attribute in inspect(kind).column_attrs]


def copied(kind: type[E], row: Sequence[Any]) -> E:
    """A read-only copy of an object from a row of `columns(kind)`; it belongs to no session."""
    return cast("E", SimpleNamespace(**_values(kind, row)))


def loaded(session: Session, kind: type[E], **values: Any) -> E:
    """An object of the session with these attributes of a stored row; the ORM loads the others when they are used."""
    found = kind()
    instance_dict(found).update(values)
    make_transient_to_detached(found)
    session.add(found)
    return found


def _values(kind: type[Base], row: Sequence[Any]) -> dict[str, Any]:
    names, enums = _shape(kind)
    values = dict(zip(names, row, strict=True))
    for name, enum in enums.items():
        if values[name] is not None:
            values[name] = enum(values[name])
    return values


@cache
def _shape(kind: type[Base]) -> tuple[list[str], Mapping[str, Callable[[str], Any]]]:
    """The names of the attributes, and the enum classes of those that are enums."""
    types = {attribute.key: attribute.columns[0].type for attribute in inspect(kind).column_attrs}
    enums = {name: type_.enum_class for name, type_ in types.items() if isinstance(type_, Enum) and type_.enum_class}
    return list(types), enums
