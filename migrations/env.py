"""Runs the migrations: one migrator at a time, with short waits for locks, because other statements queue behind it."""

import time

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, NullPool, create_engine, text

import models.tables  # noqa: F401  # importing it fills the metadata
from models.base import Base
from models.db import driver_url
from models.dialect import UTC
from settings import Settings

ONE_AT_A_TIME = 4_190_871_336  # the key of the advisory lock of this project's migrators
TRY_AGAIN_SECONDS = 0.5
BASELINE = "SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"  # the mark of the first revision


def address() -> str:
    """The database's URL: from the config's attribute `url`, the option `-x url=...`, or DATABASE_URL."""
    given = context.config.attributes.get("url") or context.get_x_argument(as_dictionary=True).get("url")
    return driver_url(given or Settings.from_env().database_url)


def migrate(connection: Connection) -> None:
    """Run the requested migrations, each revision in a transaction of its own."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        _require_own_history(connection)
        context.run_migrations()


def _require_own_history(connection: Connection) -> None:
    """Raise `CommandError` if the database was migrated by migrations other than these.

    Earlier ones had the same numbers, so the first revision of these leaves a mark.
    """
    script = context.script
    first = script.get_revision(script.get_base())
    known = {revision.revision for revision in script.walk_revisions()}
    heads = context.get_context().get_current_heads()
    if heads and not (known.issuperset(heads) and connection.scalar(text(BASELINE)) == first.module.BASELINE):
        raise CommandError(
            f"The database was migrated to revision {', '.join(heads)} by migrations other than these."
            " For a development database, run `make clean` to delete it and `make up` to create a new one;"
            " any other database needs the release that migrated it, or a later one."
        )


def main() -> None:
    """Migrate while no other migrator does.

    The migrators' lock belongs to a transaction that stays open on a connection of its own and locks nothing else. A
    lock of the session would stay with a pooler's connection, and the next migrator would wait for ever. The
    transaction ends with this process.
    """
    lock_timeout = context.config.attributes.get("lock_timeout", "5s")
    limits = UTC | {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
    guard = create_engine(address(), poolclass=NullPool, transaction_settings=limits)
    engine = create_engine(address(), poolclass=NullPool, transaction_settings=limits | {"lock_timeout": lock_timeout})
    with guard.connect() as guard_connection:
        _lock_migrations(guard_connection)
        with engine.connect() as connection:
            migrate(connection)


def _lock_migrations(connection: Connection) -> None:
    """Wait for the migrators' lock and take it, in a transaction that stays open.

    It is polled: a statement that waits for a lock has a snapshot, and `CREATE INDEX CONCURRENTLY` in the other
    migrator would wait for the end of that snapshot.
    """
    while not connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME}).scalar_one():
        connection.rollback()
        time.sleep(TRY_AGAIN_SECONDS)


main()
