"""Checks of backups and of the disk."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from manage.doctor.results import CheckResult, by_age, ok, warning, wrong
from models.services.operations import audit

LATE_SECONDS = 26 * 3600.0  # a daily backup, and two hours
FULL, NEARLY_FULL = 0.05, 0.15  # free parts of a disk
GIB = 2**30
NAMES = "postgres-*.dump"

MAX_LOSS_SECONDS = 900.0  # that is promised, and for which the log may not be archived
SMALL_BYTES = 2**18  # of a file that may be one of settings

_ARCHIVER = text("""
    SELECT current_setting('archive_mode') <> 'off' AS is_on, failed_count,
           last_failed_time > coalesce(last_archived_time, '-infinity') AS fails,
           setting::int AS pause,
           extract(epoch FROM clock_timestamp()
                              - coalesce(last_archived_time, pg_postmaster_start_time()))::float AS age
      FROM pg_stat_archiver, pg_settings WHERE name = 'archive_timeout'
""")
_NAMES_OF_KEYS = re.compile(rb"(ENCRYPTION_KEYS|JWT_SECRETS?)[=:]")


def backups(session: Session, directory: Path | None) -> Iterator[CheckResult]:
    """The newest backup is no older than a day, no keys are beside it, and the write-ahead log is archived."""
    taken = audit.entries(session, action="database.backed_up", limit=1)
    moments = [entry.created_at.timestamp() for entry in taken]
    moments += [path.stat().st_mtime for path in directory.glob(NAMES)] if directory else []
    mend = "Run `agentforge backup` daily; docs/recovery.md."
    if not moments:
        yield wrong("backups", f"There is none{f' in {directory}' if directory else ''}.", mend)
    else:
        yield by_age("backups", "The last one was made", time.time() - max(moments), late=LATE_SECONDS, mend=mend)
    yield _archive(session)
    if directory and (beside := _with_keys(directory)):
        said = f"The keys of what the backups contain are beside them: {', '.join(beside)}."
        yield wrong("backups", said, "Keep ENCRYPTION_KEYS and JWT_SECRETS elsewhere, and rotate them.")


def _with_keys(directory: Path) -> list[str]:
    """Names of small files in the directory that look like settings with keys."""
    small = (path for path in directory.glob("*") if path.is_file() and path.stat().st_size <= SMALL_BYTES)
    return sorted(path.name for path in small if _NAMES_OF_KEYS.search(path.read_bytes()))


def _archive(session: Session) -> CheckResult:
    row = session.execute(_ARCHIVER).one()
    if not row.is_on:
        said = "The write-ahead log is not archived, so that a day can be lost."
        return warning("archive", said, "Set archive_mode and archive_command; docs/recovery.md.")
    if row.fails:
        said = f"The last write-ahead log was not archived ({row.failed_count} failures)."
        return wrong("archive", said, "See PostgreSQL's log and archive_command; its disk fills up meanwhile.")
    if not 0 < row.pause <= MAX_LOSS_SECONDS:
        said = f"The write-ahead log waits for a full file (archive_timeout is {row.pause}), so that hours can be lost."
        return warning("archive", said, "Set archive_timeout = 60; deploy/postgres/postgresql.conf.")
    mend = "See PostgreSQL's log: is archive_command stuck?"
    return by_age("archive", "The write-ahead log was archived", row.age, late=MAX_LOSS_SECONDS + row.pause, mend=mend)


def disks(directory: Path | None) -> Iterator[CheckResult]:
    """There is room on this host's disk, and on that of the backups."""
    for path in {Path("/"), *([directory] if directory and directory.exists() else [])}:
        usage = shutil.disk_usage(path)
        yield room(path, usage.free, usage.total)


def room(path: Path, free: int, total: int) -> CheckResult:
    """The result for a disk with `free` of `total` bytes."""
    said = f"{free / GIB:.1f} of {total / GIB:.0f} GiB are free at {path}."
    if free < min(FULL * total, GIB):
        return wrong("disk", said, "Make room: logs, old backups, images of containers.")
    if free < NEARLY_FULL * total and free < 10 * GIB:
        return warning("disk", said, "Make room: logs, old backups, images of containers.")
    return ok("disk", said)
