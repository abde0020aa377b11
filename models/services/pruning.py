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

# Rows are found by where they lie, which takes any table; one that changes meanwhile is left for the next time.
_REMOVE, _EMPTY = "DELETE FROM {table}", "UPDATE {table} SET {emptied}"
_OLD = """
     WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM {table}
         WHERE {since} < now() - make_interval(hours => :hours) AND {only}
         ORDER BY {since} LIMIT :limit FOR UPDATE SKIP LOCKED))
 RETURNING 1
"""


@dataclass(frozen=True)
class Rule:
    """What counts no longer so many hours after a moment: the row goes, or is emptied where it has to stay.

    The words are SQL, and `only` is that of the index by which such rows are found.
    """

    table: str
    hours: int
    since: str = "created_at"
    only: str = "true"
    emptied: str = ""

    @property
    def statement(self) -> TextClause:
        """What removes a few of them, the oldest first."""
        return text(((_EMPTY if self.emptied else _REMOVE) + _OLD).format(**vars(self)))


# By the names of `Pruned`.
RULES = {
    # While it is kept, a request may be repeated with its Idempotency-Key.
    "idempotency_keys": Rule("idempotency_keys", DAY),
    # The clocks of those who read tokens may be behind the database's.
    "sessions": Rule("sessions", 1, "expires_at"),
    # No month that is still counted, or was last, began earlier.
    "api_calls": Rule("api_calls", 62 * DAY, "at"),
    # Wishes for a password are counted that long.
    "password_resets": Rule("password_resets", DAY),
    # Its owner is shown that a key expired.
    "access_keys": Rule("access_keys", 90 * DAY, "expires_at"),
    # An event's id must stay, or it would be handled again if it came again. Stripe itself shows events for 30 days.
    "stripe_events": Rule("stripe_events", 90 * DAY, "handled_at", "raw <> ''::bytea", "raw = ''::bytea"),
    # So must what a message was about.
    "notifications": Rule(
        "notifications",
        30 * DAY,
        only="status IN ('sent', 'failed') AND payload <> '{}'::jsonb",
        emptied="payload = '{}'",
    ),
    "findings": Rule("reconciliation_findings", 180 * DAY),
    # The database refuses to let go of anything younger.
    "audit_entries": Rule("audit_log", 365 * DAY),
    # Those that were killed.
    "workers": Rule("workers", 7 * DAY, "seen_at"),
}
STATEMENTS = {name: rule.statement for name, rule in RULES.items()}


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
    return Pruned(**{name: _removed(session, name, limit) for name in RULES})


def _removed(session: Session, name: str, limit: int) -> int:
    asked = {"hours": RULES[name].hours, "limit": limit}
    try:
        with session.begin_nested():
            return len(session.execute(STATEMENTS[name], asked).all())
    except Exception:
        log.exception("prune.failed", what=name)
        return 0
