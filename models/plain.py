"""Statements that every request runs, handed to the driver as they are.

What SQLAlchemy does around a short statement takes several times longer than the statement. Here it makes the text once
and lends its connection, so that all happens in the session's transaction and fails with SQLAlchemy's errors.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from sqlalchemy import Dialect, Enum, Select, inspect, text
from sqlalchemy.dialects.postgresql import psycopg2
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.orm.attributes import instance_dict

from models.base import Base

E = TypeVar("E", bound=Base)

_DIALECT: Dialect = psycopg2.dialect()  # type: ignore[no-untyped-call]


class Plain:
    """One statement; an SQL text names its parameters `:name`.

    Values and columns are what the driver makes of them: ids, decimals, times and JSON as everywhere, words as text.
    """

    def __init__(self, statement: str | Select[Any], **parts: str) -> None:
        """Each name in `parts` stands in an SQL text for a piece of SQL of ours."""
        made = text(_assembled(statement, parts)) if isinstance(statement, str) else statement
        compiled = made.compile(dialect=_DIALECT)
        self._sql = str(compiled)
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}

    def rows(self, session: Session, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run it, and read all rows."""
        connection = session.connection()
        try:
            cursor = connection.connection.cursor()
            cursor.execute(self._sql, {**self._fixed, **values})
            found = cursor.fetchall()
            cursor.close()
        except connection.dialect.loaded_dbapi.Error as error:
            if connection.connection.closed:  # SQLAlchemy finds that out too, and lets go of its other connections
                connection.exec_driver_sql(self._sql, values)
            raise DBAPIError.instance(self._sql, None, error, type(error), hide_parameters=True) from error
        return list(found)

    def first(self, session: Session, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Run it, and read one row."""
        found = self.rows(session, values)
        return found[0] if found else None


def _assembled(statement: str, parts: Mapping[str, str]) -> str:
    for name, part in parts.items():
        statement = statement.replace(name, part)
    return statement


def columns(kind: type[Base]) -> Sequence[Any]:
    """What a statement has to select for an object of `kind`."""
    return [attribute.columns[0] for attribute in inspect(kind).column_attrs]


def copied(kind: type[E], row: Sequence[Any]) -> E:
    """What `columns(kind)` are, under the names of its attributes: to be read only, for no session knows of it."""
    return cast("E", SimpleNamespace(**_values(kind, row)))


def loaded(session: Session, kind: type[E], row: Sequence[Any]) -> E:
    """An object of the session, as the ORM would have made it of `columns(kind)`."""
    found = kind()
    instance_dict(found).update(_values(kind, row))
    make_transient_to_detached(found)
    session.add(found)
    return found


def _values(kind: type[Base], row: Sequence[Any]) -> dict[str, Any]:
    names, words = _shape(kind)
    values = dict(zip(names, row, strict=True))
    for name, word in words.items():
        values[name] = word(values[name])
    return values


@cache
def _shape(kind: type[Base]) -> tuple[list[str], Mapping[str, Callable[[str], Any]]]:
    """The names of the attributes, and what makes words of texts."""
    types = {attribute.key: attribute.columns[0].type for attribute in inspect(kind).column_attrs}
    words = {name: type_.enum_class for name, type_ in types.items() if isinstance(type_, Enum) and type_.enum_class}
    return list(types), words
