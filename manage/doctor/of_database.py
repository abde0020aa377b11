"""Checks of the database: version, schema, privileges and clock."""

import time
from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.orm import Session

from manage.doctor.results import CheckResult, ok, warning, wrong
from revisions import database_revision, newest_revision
from roles import ProcessRole
from settings import Settings

OLDEST_VERSION = 140_000
SKEW_SECONDS, MAX_SKEW_SECONDS = 2.0, 30.0  # the latter is the leeway of tokens

_LACKING = text("""
    SELECT relname FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
       AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT'))
     ORDER BY relname
""")
_MAY_REWRITE = text("SELECT has_table_privilege('credit_transactions', 'UPDATE')")


def version(session: Session, _: Settings) -> Iterator[CheckResult]:
    """PostgreSQL 14 or newer, and no standby."""
    number, is_standby = session.execute(
        text("SELECT current_setting('server_version_num')::int, pg_is_in_recovery()")
    ).one()
    if is_standby:
        yield wrong("database", "It is a standby, which accepts no writes.", "Point DATABASE_URL at the primary.")
    elif number < OLDEST_VERSION:
        yield wrong("database", f"PostgreSQL {number // 10_000} is too old.", "Upgrade to PostgreSQL 14 or newer.")
    else:
        yield ok("database", f"PostgreSQL {number // 10_000} answers.")


def migrations(session: Session, _: Settings) -> Iterator[CheckResult]:
    """The database is at the newest revision of the code."""
    at, newest = database_revision(session), newest_revision()
    if at == newest:
        yield ok("migrations", f"The database is at revision {at}, the newest.")
        return
    said = f"The database is at revision {at or 'none'}, and this release needs {newest}."
    yield wrong("migrations", said, "Run `agentforge migrate` as the owner of the tables, then deploy/roles.sql.")


def privileges(session: Session, settings: Settings) -> Iterator[CheckResult]:
    """The user of the database may do what the service does, and not rewrite the ledger."""
    lacking = list(session.scalars(_LACKING))
    if lacking:
        said = f"This user of the database may not use {', '.join(lacking[:5])}{' and more' if lacking[5:] else ''}."
        yield wrong("privileges", said, "Run deploy/roles.sql as the owner of the tables, as after every migration.")
    elif settings.role is not ProcessRole.MIGRATE and session.scalar(_MAY_REWRITE):
        said = "This user of the database may rewrite the ledger: it owns the tables, or is a superuser."
        yield warning("privileges", said, "Give the processes a user of the role agentforge_app: deploy/roles.sql.")
    else:
        yield ok("privileges", "Rows may be written, and the ledger not rewritten.")


def clock(session: Session, _: Settings) -> Iterator[CheckResult]:
    """The clocks of this host and of the database agree."""
    asked_at = time.time()
    theirs = session.execute(text("SELECT extract(epoch FROM clock_timestamp())::float")).scalar_one()
    yield skew("the database", theirs - (asked_at + time.time()) / 2)


def skew(server: str, seconds: float) -> CheckResult:
    """The result for a server whose clock is `seconds` ahead of ours."""
    sentence = f"The clock of {server} is {abs(seconds):.1f} seconds {'ahead of' if seconds > 0 else 'behind'} ours."
    mend = "Run a time service (chrony, systemd-timesyncd) on both hosts."
    if abs(seconds) > MAX_SKEW_SECONDS:
        return wrong("clocks", sentence, mend)
    return warning("clocks", sentence, mend) if abs(seconds) > SKEW_SECONDS else ok("clocks", sentence)
