"""Schemas of sessions and of the audit log."""

from marshmallow import fields

from api.schemas.base import Boolean, Id, JsonObject, Out, String, Time
from models.tables import AuditEntry


class SessionOut(Out):
    """A session, without its tokens."""

    id = Id()
    created_at = Time()
    last_seen_at = Time()
    expires_at = Time()
    user_agent = String(allow_none=True)
    address = String(allow_none=True)


class CurrentSessionOut(SessionOut):
    """A session, and whether it is the one of this request."""

    current = Boolean()


class AuditOut(Out):
    """An entry of the audit log, as the user of the account sees it."""

    id = Id()
    action = String()
    by_you = fields.Function(lambda entry: entry.actor_id == entry.subject_id, metadata=Boolean.shape)
    address = fields.Function(
        lambda entry: entry.address if _is_open(entry) else None, metadata=String.shape, allow_none=True
    )
    data = fields.Function(
        lambda entry: entry.data if _is_open(entry) else None, metadata=JsonObject.shape, allow_none=True
    )
    created_at = Time()


def _is_open(entry: AuditEntry) -> bool:
    """Whether the user may see address and data: those of an administrator's action are hidden."""
    return entry.actor_id in (None, entry.subject_id)
