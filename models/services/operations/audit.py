"""Writes and reads the audit log; entries are written in the transaction of the action."""

from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_network
from uuid import UUID

from sqlalchemy import cast, exists, func, insert, select
from sqlalchemy.dialects.postgresql import CIDR
from sqlalchemy.orm import Session

from models.serialization import Json
from models.services.rows.queries import Position, newest_first
from models.tables import AuditEntry, User

RECENT = timedelta(days=30)
SIGNED_IN = ("auth.registered", "auth.login", "auth.password_reset")  # actions that prove the owner's identity


def record(
    session: Session,
    *,
    actor: UUID | None,
    action: str,
    subject: UUID | None = None,
    address: str | None = None,
    data: Json = None,
) -> None:
    """Record an action.

    Args:
        session: the session of the transaction.
        actor: the user who acted; None for an anonymous caller or the command line.
        action: `area.action` in the past, such as `auth.login`, `auth.login_failed` or `credits.adjusted`.
        subject: the user whose account is affected, or the id of another object.
        address: the caller's IP address.
        data: further details as JSON; never a password, a key or a token.
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


def is_familiar_network(session: Session, email: str, network: str) -> bool:
    """Whether the owner of the account with this email address signed in from `network` recently.

    Args:
        network: an address or a network, such as `192.0.2.7` or `2001:db8::/64`; anything else is not familiar.
    """
    try:
        ip_network(network)
    except ValueError:
        return False
    return bool(
        session.scalar(
            select(
                exists().where(
                    func.lower(User.email) == func.lower(email),
                    AuditEntry.subject_id == User.id,
                    AuditEntry.action.in_(SIGNED_IN),
                    AuditEntry.created_at > func.now() - RECENT,
                    AuditEntry.address.op("<<=")(cast(network, CIDR)),
                )
            )
        )
    )
