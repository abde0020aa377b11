"""Lends databases that really commit, one test after another: to empty one takes less than to copy and warm another.

What a test leaves must not reach the next one. Rows are deleted; a database that differs in anything else from what the
migrations made, or that somebody is still connected to, is dropped.
"""

import itertools
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from devstack.servers.postgres import PostgresServer
from models.db import SessionFactory, connect

_CATALOGS = ["pg_class", "pg_attribute", "pg_constraint", "pg_trigger", "pg_proc", "pg_namespace", "pg_type"]
_CATALOGS += ["pg_description", "pg_db_role_setting", "pg_default_acl"]
_TABLES = """
    SELECT array_agg(quote_ident(tablename) ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'
"""
_CLIENTS = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
"""

Version = tuple[int, ...]


@dataclass(frozen=True)
class LentDatabase:
    """A migrated database, its connections, and what no test may change in it if it is to be lent again."""

    name: str
    url: str
    engine: Engine
    seeded: list[str]  # tables that the migrations filled
    emptied: list[str]  # all others
    version: Version


class Lending:
    """The databases of a server that are copies of one template."""

    def __init__(self, server: PostgresServer, template: str, *, prefix: str = "lent") -> None:
        self._server = server
        self._template = template
        self._prefix = prefix
        self._free: list[LentDatabase] = []
        self._numbers = itertools.count(1)

    def lend(self) -> LentDatabase:
        """An empty database, as the migrations left it."""
        return self._free.pop() if self._free else self._copy()

    def take_back(self, database: LentDatabase) -> None:
        """Empty it for the next one, or drop it if that is not enough."""
        with suppress(OperationalError):  # a connection was cut
            if _is_left_alone(database) and _empty(database):
                self._free.append(database)
                return
        self._drop(database)

    def close(self) -> None:
        """Drop all that are not lent."""
        while self._free:
            self._drop(self._free.pop())

    def _copy(self) -> LentDatabase:
        name = f"{self._prefix}_{next(self._numbers)}"
        url = self._server.create_database(name, template=self._template)
        engine = connect(url)
        SessionFactory.configure(bind=None)
        with engine.connect() as connection:
            tables = connection.exec_driver_sql(_TABLES).scalar_one()
            seeded = _filled(connection, tables)
            emptied = [table for table in tables if table not in seeded]
            return LentDatabase(name, url, engine, seeded, emptied, _version(connection, seeded))

    def _drop(self, database: LentDatabase) -> None:
        database.engine.dispose()
        self._server.drop_database(database.name)


def _is_left_alone(database: LentDatabase) -> bool:
    """Whether no connections are left but the idle ones of its engine, all of them alive."""
    pool = database.engine.pool
    if pool.checkedout():
        return False
    with database.engine.connect() as connection:
        return connection.exec_driver_sql(_CLIENTS).scalar_one() == pool.checkedin() + 1


def _empty(database: LentDatabase) -> bool:
    """Delete what a test wrote; False if it changed more than rows."""
    with database.engine.begin() as connection:
        if _version(connection, database.seeded) != database.version:
            return False
        if filled := _filled(connection, database.emptied):
            deletions = "; ".join(f"DELETE FROM {table}" for table in filled)
            # Past the triggers and references: the ledger refuses to be emptied.
            connection.exec_driver_sql(f"SET LOCAL session_replication_role = replica; {deletions}")
    return True


def _filled(connection: Connection, tables: list[str]) -> list[str]:
    """Those of the tables that have rows."""
    questions = (f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in tables)
    return list(connection.exec_driver_sql(" UNION ALL ".join(questions)).scalars())


def _version(connection: Connection, seeded: list[str]) -> Version:
    """What every insert, update and deletion changes of rows in the catalogs and of those of the migrations."""
    counted = (
        f"(SELECT count(*) FROM {table}), (SELECT sum(xmin::text::bigint) FROM {table})" for table in _CATALOGS + seeded
    )
    return tuple(connection.exec_driver_sql(f"SELECT {', '.join(counted)}").one())
