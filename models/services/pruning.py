"""Removes what has served its time, but for the history of runs, which `retention` prunes.

Small batches, the oldest first, and rows that others hold are left for the next time, so nobody waits for the broom.
Where a row has to stay, because it keeps a thing from being done twice, its contents go.
"""

from dataclasses import dataclass

import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

log = structlog.get_logger()

DAY = 24  # hours
KEPT_HOURS = DAY  # for which a request may be repeated with its Idempotency-Key, and wishes for a password are counted
COUNTED_HOURS = 62 * DAY  # no month that is still counted, or was last, began earlier
SESSION_GRACE_HOURS = 1  # the clocks of those who read tokens may be behind the database's
NOTIFICATION_HOURS = 30 * DAY
STRIPE_EVENT_HOURS = 90 * DAY  # Stripe itself shows events for 30 days
ACCESS_KEY_HOURS = 90 * DAY  # for which its owner is shown that a key expired
FINDING_HOURS = 180 * DAY
AUDIT_HOURS = 365 * DAY  # the database refuses to let go of anything younger
WORKER_HOURS = 7 * DAY

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
_ACCESS_KEYS = text("""
    DELETE FROM access_keys WHERE id IN (
        SELECT id FROM access_keys
         WHERE expires_at < now() - make_interval(hours => :hours)
         ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED)
 RETURNING 1
""")
# An event's id must stay, or it would be handled again if it came again; so must what a message was about.
_STRIPE_EVENTS = text("""
    UPDATE stripe_events SET raw = ''::bytea WHERE id IN (
        SELECT id FROM stripe_events
         WHERE handled_at < now() - make_interval(hours => :hours) AND raw <> ''::bytea
         ORDER BY handled_at LIMIT :limit FOR UPDATE SKIP LOCKED)
 RETURNING 1
""")
_NOTIFICATIONS = text("""
    UPDATE notifications SET payload = '{}' WHERE id IN (
        SELECT id FROM notifications
         WHERE created_at < now() - make_interval(hours => :hours)
           AND status IN ('sent', 'failed') AND payload <> '{}'::jsonb
         ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED)
 RETURNING 1
""")
_FINDINGS = text("""
    DELETE FROM reconciliation_findings WHERE id IN (
        SELECT id FROM reconciliation_findings
         WHERE created_at < now() - make_interval(hours => :hours)
         ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED)
 RETURNING 1
""")
_AUDIT = text("""
    DELETE FROM audit_log WHERE id IN (
        SELECT id FROM audit_log
         WHERE created_at < now() - make_interval(hours => :hours)
         ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED)
 RETURNING 1
""")
# Those that were killed; there are as many rows as there were processes.
_WORKERS = text("""
    DELETE FROM workers WHERE name IN (
        SELECT name FROM workers
         WHERE seen_at < now() - make_interval(hours => :hours) LIMIT :limit FOR UPDATE SKIP LOCKED)
 RETURNING 1
""")

# By the names of `Pruned`: what is removed, and how many hours it is kept.
_RULES: dict[str, tuple[TextClause, int]] = {
    "idempotency_keys": (_KEYS, KEPT_HOURS),
    "sessions": (_SESSIONS, SESSION_GRACE_HOURS),
    "api_calls": (_CALLS, COUNTED_HOURS),
    "password_resets": (_RESETS, KEPT_HOURS),
    "access_keys": (_ACCESS_KEYS, ACCESS_KEY_HOURS),
    "stripe_events": (_STRIPE_EVENTS, STRIPE_EVENT_HOURS),
    "notifications": (_NOTIFICATIONS, NOTIFICATION_HOURS),
    "findings": (_FINDINGS, FINDING_HOURS),
    "audit_entries": (_AUDIT, AUDIT_HOURS),
    "workers": (_WORKERS, WORKER_HOURS),
}


@dataclass(frozen=True)
class Pruned:
    """How many rows went, or lost their contents; as many as the limit means that there may be more."""

    idempotency_keys: int = 0
    sessions: int = 0
    api_calls: int = 0
    password_resets: int = 0
    access_keys: int = 0
    stripe_events: int = 0
    notifications: int = 0
    findings: int = 0
    audit_entries: int = 0
    workers: int = 0


def prune(session: Session, limit: int = 1000) -> Pruned:
    """Remove at most `limit` old rows of each kind, the oldest first; one that fails is logged, and the next comes."""
    return Pruned(**{name: _removed(session, name, limit) for name in _RULES})


def _removed(session: Session, name: str, limit: int) -> int:
    statement, hours = _RULES[name]
    try:
        with session.begin_nested():
            return len(session.execute(statement, {"hours": hours, "limit": limit}).all())
    except Exception:
        log.exception("prune.failed", what=name)
        return 0
