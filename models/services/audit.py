"""The audit log: written in the transaction of the deed, so that there is never one without the other."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from models.audit import AuditEntry
from models.base import Json
from models.services.paging import Position, newest_first


def record(
    session: Session,
    *,
    actor: UUID | None,
    action: str,
    subject: UUID | None = None,
    address: str | None = None,
    data: Json = None,
) -> None:
    """Write down a deed.

    Args:
        actor: the user who did it; None for a stranger or the machine's command line.
        action: `area.deed` in the past, such as `auth.login`, `auth.login_failed` or `credits.adjusted`.
        subject: the user whose account it is about, or the id of a thing of ours.
        address: the caller's IP address.
        data: what else there is to know, as JSON; never a password, a key or a token.
    """
    session.execute(
        insert(AuditEntry).values(actor_id=actor, action=action, subject_id=subject, address=address, data=data)
    )


def entries(
    session: Session,
    *,
    subject: UUID | None = None,
    actor: UUID | None = None,
    action: str | None = None,
    limit: int = 50,
    offset: int = 0,
    after: Position | None = None,
) -> Sequence[AuditEntry]:
    """A page of the log, the newest first; only of one `subject`, `actor` or `action` if given."""
    query = select(AuditEntry)
    if subject is not None:
        query = query.where(AuditEntry.subject_id == subject)
    if actor is not None:
        query = query.where(AuditEntry.actor_id == actor)
    if action is not None:
        query = query.where(AuditEntry.action == action)
    return session.scalars(newest_first(query, AuditEntry, limit=limit, offset=offset, after=after)).all()
