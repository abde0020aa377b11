"""Checks of backups and of the disk."""

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

_ARCHIVER = text("""
    SELECT current_setting('archive_mode') <> 'off' AS is_on, failed_count,
           last_failed_time > coalesce(last_archived_time, '-infinity') AS fails FROM pg_stat_archiver
""")


def backups(session: Session, directory: Path | None) -> Iterator[CheckResult]:
    """The newest dump is no older than a day, and the write-ahead log is archived."""
    taken = audit.entries(session, action="database.backed_up", limit=1)
    moments = [entry.created_at.timestamp() for entry in taken]
    moments += [path.stat().st_mtime for path in directory.glob(NAMES)] if directory else []
    mend = "Run `agentforge backup` daily; docs/operations.md, Backups."
    if not moments:
        yield wrong("backups", f"There is none{f' in {directory}' if directory else ''}.", mend)
    else:
        yield by_age("backups", "The last one was made", time.time() - max(moments), late=LATE_SECONDS, mend=mend)
    yield _archive(session)


def _archive(session: Session) -> CheckResult:
    row = session.execute(_ARCHIVER).one()
    if not row.is_on:
        said = "The write-ahead log is not archived, so that a day can be lost."
        return warning("archive", said, "Set archive_mode and archive_command; docs/operations.md, Backups.")
    if row.fails:
        said = f"The last write-ahead log was not archived ({row.failed_count} failures)."
        return wrong("archive", said, "See PostgreSQL's log and archive_command; its disk fills up meanwhile.")
    return ok("archive", "The write-ahead log is archived.")


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
