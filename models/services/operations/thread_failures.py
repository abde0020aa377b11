"""Counts of thread failures in all processes."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.serialization import to_json

RECENT_SECONDS = 120.0

_ADD = text("""
    INSERT INTO thread_failures AS f (thread, failures, failed_at)
    SELECT key, value::bigint, CASE WHEN value::bigint > 0 THEN now() END
      FROM jsonb_each_text(CAST(:failures AS jsonb)) ORDER BY key
    ON CONFLICT (thread) DO UPDATE SET failures = f.failures + excluded.failures,
                                       failed_at = coalesce(excluded.failed_at, f.failed_at)
""")

_COUNTS = text("SELECT thread, failures FROM thread_failures ORDER BY thread")

_FAILING = text("""
    SELECT count(*) FROM thread_failures WHERE failed_at > now() - make_interval(secs => :seconds)
""")


def add(session: Session, failures: Mapping[str, int]) -> None:
    """Add `failures`, by name of thread, to the counts; a zero adds a row for a thread without failures."""
    session.execute(_ADD, {"failures": to_json(failures)})


def counts(session: Session) -> dict[str, int]:
    """The number of failures since the beginning, by name of thread."""
    return {row.thread: row.failures for row in session.execute(_COUNTS)}


def failing(session: Session) -> int:
    """The number of thread names with failures in the last two minutes."""
    return session.scalar(_FAILING, {"seconds": RECENT_SECONDS}) or 0
