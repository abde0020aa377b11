"""Removes what has served its time: first answers to repeated requests, expired sessions, old calls, old wishes.

Small batches, and rows that others hold are left for the next time, so nobody waits for the broom.
"""

from dataclasses import dataclass

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

KEPT_HOURS = 24  # for which a request may be repeated with its Idempotency-Key, and wishes for a password are counted
COUNTED_HOURS = 62 * 24  # no month that is still counted, or was last, began earlier
SESSION_GRACE_HOURS = 1  # the clocks of those who read tokens may be behind the database's

_KEYS = text("""
    DELETE FROM idempotency_keys WHERE (user_id, key) IN (
        SELECT user_id, key FROM idempotency_keys
         WHERE created_at < now() - make_interval(hours => :hours)
         ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED)
 RETURNING 1
""")
_SESSIONS = text("""
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions
         WHERE expires_at < now() - make_interval(hours => :hours)
         ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED)
 RETURNING 1
""")
_CALLS = text("""
    DELETE FROM api_calls WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM api_calls
         WHERE at < now() - make_interval(hours => :hours)
         LIMIT :limit FOR UPDATE SKIP LOCKED))
 RETURNING 1
""")
_RESETS = text("""
    DELETE FROM password_resets WHERE id IN (
        SELECT id FROM password_resets
         WHERE created_at < now() - make_interval(hours => :hours)
         ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED)
 RETURNING 1
""")


@dataclass(frozen=True)
class Pruned:
    """How many rows went; as many as the limit means that there may be more."""

    idempotency_keys: int
    sessions: int
    api_calls: int
    password_resets: int


def prune(session: Session, limit: int = 1000) -> Pruned:
    """Remove at most `limit` old rows of each kind, the oldest first."""
    return Pruned(
        idempotency_keys=_removed(session, _KEYS, KEPT_HOURS, limit),
        sessions=_removed(session, _SESSIONS, SESSION_GRACE_HOURS, limit),
        api_calls=_removed(session, _CALLS, COUNTED_HOURS, limit),
        password_resets=_removed(session, _RESETS, KEPT_HOURS, limit),
    )


def _removed(session: Session, statement: TextClause, hours: int, limit: int) -> int:
    return len(session.execute(statement, {"hours": hours, "limit": limit}).all())
