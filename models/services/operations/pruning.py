"""Prunes old rows of all tables except the history of runs, which `retention` prunes.

Rows are removed in small batches, oldest first, and locked rows are skipped until the next time, so pruning blocks no
other work. Rows that have to stay, because they keep an effect from being repeated, are emptied instead.
"""

from dataclasses import dataclass

import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

log = structlog.get_logger()

DAY = 24  # hours

# Rows are identified by ctid, which every table has; a row that changes meanwhile is left for the next time.
_REMOVE, _EMPTY = "DELETE FROM {table}", "UPDATE {table} SET {emptied}"
_OLD = """
     WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM {table}
         WHERE {since} < now() - make_interval(hours => :hours) AND {only}
         ORDER BY {since} LIMIT :limit FOR UPDATE SKIP LOCKED))
 RETURNING 1
"""


@dataclass(frozen=True)
class RetentionRule:
    """The retention of a table: `hours` after the time in column `since`, rows are deleted or, with `emptied`, emptied.

    `only` and `emptied` are SQL; `only` is the condition of the partial index that finds these rows.
    """

    table: str
    hours: int
    since: str = "created_at"
    only: str = "true"
    emptied: str = ""

    @property
    def statement(self) -> TextClause:
        """The statement that removes at most `:limit` rows, oldest first."""
        return text(((_EMPTY if self.emptied else _REMOVE) + _OLD).format(**vars(self)))


# By the names of the fields of `Pruned`.
RULES = {
    # As long as they are stored, requests may be repeated with their Idempotency-Key.
    "idempotency_keys": RetentionRule("idempotency_keys", DAY),
    # An hour later than they expire, because the clock of a process may be behind the database's.
    "sessions": RetentionRule("sessions", 1, "expires_at"),
    # Neither the current nor the previous month began earlier.
    "api_calls": RetentionRule("api_calls", 62 * DAY, "at"),
    # The limit of reset mails counts the last hour.
    "password_resets": RetentionRule("password_resets", DAY),
    # Replaced addresses can be restored for 72 hours.
    "email_links": RetentionRule("email_links", 4 * DAY),
    # Expired keys are shown to their owners for that long.
    "access_keys": RetentionRule("access_keys", 90 * DAY, "expires_at"),
    # The ids stay, so that a repeated event is not handled again. Stripe itself shows events for 30 days.
    "stripe_events": RetentionRule("stripe_events", 90 * DAY, "handled_at", "raw <> ''::bytea", "raw = ''::bytea"),
    # The keys stay, so that no notification is sent again.
    "notifications": RetentionRule(
        "notifications",
        30 * DAY,
        only="status IN ('sent', 'failed') AND payload <> '{}'::jsonb",
        emptied="payload = '{}'",
    ),
    # The mail with the link names this time.
    "data_exports": RetentionRule("data_exports", 7 * DAY),
    # Their deletion can be undone for less than that.
    "templates": RetentionRule("templates", 1, "deleted_at", only="deleted_at IS NOT NULL"),
    # Unlisted versions are there for their runs. A run that was just submitted may not be committed yet.
    "versions": RetentionRule(
        "workflow_versions",
        1,
        only="number IS NULL"
        " AND NOT EXISTS (SELECT FROM workflow_executions e WHERE e.version_id = workflow_versions.id)",
    ),
    "findings": RetentionRule("reconciliation_findings", 180 * DAY),
    # The database rejects the deletion of younger entries.
    "audit_entries": RetentionRule("audit_log", 365 * DAY),
    # Workers that were killed; others remove their row at shutdown.
    "workers": RetentionRule("workers", 7 * DAY, "seen_at"),
}
STATEMENTS = {name: rule.statement for name, rule in RULES.items()}


@dataclass(frozen=True)
class Pruned:
    """The number of rows removed or emptied, by kind; if it equals the limit, more may be left."""

    idempotency_keys: int = 0
    sessions: int = 0
    api_calls: int = 0
    password_resets: int = 0
    email_links: int = 0
    access_keys: int = 0
    stripe_events: int = 0
    notifications: int = 0
    data_exports: int = 0
    templates: int = 0
    versions: int = 0
    findings: int = 0
    audit_entries: int = 0
    workers: int = 0


def prune(session: Session, limit: int = 1000) -> Pruned:
    """Remove at most `limit` old rows of each kind, oldest first; a failure is logged and affects no other kind."""
    return Pruned(**{name: _removed(session, name, limit) for name in RULES})


def _removed(session: Session, name: str, limit: int) -> int:
    parameters = {"hours": RULES[name].hours, "limit": limit}
    try:
        with session.begin_nested():
            return len(session.execute(STATEMENTS[name], parameters).all())
    except Exception:
        log.exception("prune.failed", rule=name)
        return 0
