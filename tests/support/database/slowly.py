"""Makes updates of a table slow, so that tests can act in the middle of a transaction."""

import time

from sqlalchemy import text

from models.db import session_scope

_SLOW = """
    CREATE OR REPLACE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END';
    CREATE TRIGGER slow BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION take_time();
"""


def slow_down(table: str, seconds: float = 0.3) -> None:
    """Let each changed row take so many seconds after it is locked."""
    with session_scope() as session:
        session.execute(text(_SLOW.format(table=table, seconds=seconds)))


def wait_until_changing() -> None:
    """Wait until a transaction has locked a row that it is about to change."""
    until = time.monotonic() + 30
    while not _changes():
        assert time.monotonic() < until, "nobody changes anything"
        time.sleep(0.01)


def _changes() -> bool:
    with session_scope() as session:
        sleeping = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')"
        return bool(session.scalar(text(sleeping)))
