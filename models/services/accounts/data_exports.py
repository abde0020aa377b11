"""Exports of users' data: requested once a day, built by one worker at a time, downloadable by a link for a week."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, select, text, update
from sqlalchemy.orm import Session

from models.errors import Conflict, NotFound, Quota
from models.services.notifications import notifications
from models.services.rows import inbox
from models.services.rows.queries import lock_user
from models.tables import Channel, DataExport, DataExportPart, ExportStatus, NotificationKind

INTERVAL, MAX_PER_DAY = timedelta(days=1), 1
LIFETIME = timedelta(days=7)
STUCK_SECONDS = 900  # after which the worker that builds an export is considered dead
MAX_TRIES = 5

_DUE = text("""
    SELECT id FROM data_exports
     WHERE (status = 'pending' AND created_at < now() - interval '10 seconds')
        OR (status = 'building' AND started_at < now() - make_interval(secs => :stuck))
     ORDER BY created_at LIMIT 100
""")


class ExportLimitReached(Conflict):
    """An export is being built, or was requested within the last day."""

    code = "export_limit_reached"

    def __init__(self) -> None:
        super().__init__(
            "Your data was exported within the last day, or is being exported now. Try again tomorrow.",
            quota=Quota(MAX_PER_DAY, MAX_PER_DAY),
        )


def request_export(session: Session, user_id: UUID) -> DataExport:
    """Request an export; raises `ExportLimitReached`."""
    lock_user(session, user_id)
    recent = select(DataExport.id).where(
        DataExport.user_id == user_id,
        DataExport.status != ExportStatus.FAILED,
        DataExport.created_at > func.now() - INTERVAL,
    )
    if session.scalar(recent.limit(1)) is not None:
        raise ExportLimitReached
    row = DataExport(user_id=user_id)
    session.add(row)
    session.flush()
    return row


def due(session: Session) -> Sequence[UUID]:
    """Exports that lost their message or their worker."""
    return session.scalars(_DUE, {"stuck": STUCK_SECONDS}).all()


def claim(session: Session, export_id: UUID) -> tuple[UUID, int] | None:
    """Claim an export for building; returns its user and the number of this try, or None if it is not to be built."""
    is_stuck = and_(
        DataExport.status == ExportStatus.BUILDING,
        DataExport.started_at < func.clock_timestamp() - timedelta(seconds=STUCK_SECONDS),
    )
    is_due = or_(DataExport.status == ExportStatus.PENDING, is_stuck)
    row = inbox.claim(session, DataExport, DataExport.id == export_id, is_due)
    if row is None:
        return None
    if row.tries >= MAX_TRIES:
        row.status = ExportStatus.FAILED
        return None
    row.status, row.started_at, row.tries = ExportStatus.BUILDING, func.clock_timestamp(), row.tries + 1
    session.execute(delete(DataExportPart).where(DataExportPart.export_id == export_id))
    return row.user_id, row.tries


def add_part(session: Session, export_id: UUID, attempt: int, number: int, content: bytes) -> None:
    """Store a part of the file; raises `NotFound` if the export was deleted or claimed by another worker."""
    claimed = select(DataExport.id).where(
        DataExport.id == export_id, DataExport.tries == attempt, DataExport.status == ExportStatus.BUILDING
    )
    if session.scalar(claimed.with_for_update()) is None:
        raise NotFound("export")
    session.add(DataExportPart(export_id=export_id, number=number, content=content))
    session.flush()


def finish(session: Session, export_id: UUID, attempt: int, size: int) -> Sequence[UUID]:
    """Mark an export of `size` bytes as ready and notify its user; returns the ids of the messages to publish."""
    claimed = update(DataExport).where(
        DataExport.id == export_id, DataExport.tries == attempt, DataExport.status == ExportStatus.BUILDING
    )
    done = claimed.values(status=ExportStatus.READY, ready_at=func.clock_timestamp(), bytes=size)
    user_id = session.scalar(done.returning(DataExport.user_id))
    if user_id is None:
        return []
    return notifications.add(
        session,
        user_id,
        NotificationKind.DATA_EXPORT,
        {"exportId": str(export_id)},
        key=f"data-export:{export_id}",
        channels=(Channel.EMAIL,),
    )


def issue(session: Session, export_id: UUID) -> str | None:
    """Make the token for the mail that is being sent, which replaces an earlier one; None if the export is gone."""
    token = secrets.token_urlsafe(32)
    ready = update(DataExport).where(DataExport.id == export_id, DataExport.status == ExportStatus.READY)
    granted = ready.values(token_hash=_hash(token)).returning(DataExport.id)
    return None if session.scalar(granted) is None else token


def open_link(session: Session, export_id: UUID, token: str) -> int:
    """The size in bytes of the file of a link; raises `NotFound`, also after the link's lifetime."""
    found = select(DataExport.bytes).where(
        DataExport.id == export_id,
        DataExport.token_hash == _hash(token),
        DataExport.ready_at > func.clock_timestamp() - LIFETIME,
    )
    size = session.scalar(found)
    if size is None:
        raise NotFound("export")
    return size


def status(session: Session, export_id: UUID) -> ExportStatus:
    """The status of an export; raises `NotFound`, as when its user was deleted meanwhile."""
    found = session.scalar(select(DataExport.status).where(DataExport.id == export_id))
    if found is None:
        raise NotFound("export")
    return found


def part(session: Session, export_id: UUID, number: int) -> bytes | None:
    """A part of the file by its number, or None after the last one."""
    query = select(DataExportPart.content)
    return session.scalar(query.where(DataExportPart.export_id == export_id, DataExportPart.number == number))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
