"""What is shown of sessions and of the audit log."""

from marshmallow import fields

from api.schemas.base import Id, Out, Text, Thing, Time, Truth
from models.audit import AuditEntry


class SessionOut(Out):
    """A session, whose tokens nobody sees again."""

    id = Id()
    created_at = Time()
    last_seen_at = Time()
    expires_at = Time()
    user_agent = Text(allow_none=True)
    address = Text(allow_none=True)


class CurrentSessionOut(SessionOut):
    """A session, and whether it is the one that asks."""

    current = Truth()


class AuditOut(Out):
    """One line of the audit log, as the user whose account it is about may see it."""

    id = Id()
    action = Text()
    by_you = fields.Function(lambda entry: entry.actor_id == entry.subject_id, metadata=Truth.shape)
    address = fields.Function(
        lambda entry: entry.address if _is_open(entry) else None, metadata=Text.shape, allow_none=True
    )
    data = fields.Function(lambda entry: entry.data if _is_open(entry) else None, metadata=Thing.shape, allow_none=True)
    created_at = Time()


def _is_open(entry: AuditEntry) -> bool:
    """Where an administrator sits and what they noted is nobody else's business."""
    return entry.actor_id in (None, entry.subject_id)
