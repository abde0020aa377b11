"""What is shown of sessions and of the audit log."""

from marshmallow import fields

from api.schemas.base import Out, Plain
from models.audit import AuditEntry


class SessionOut(Out):
    """A session, whose tokens nobody sees again."""

    id = Plain()
    created_at = Plain()
    last_seen_at = Plain()
    expires_at = Plain()
    user_agent = Plain()
    address = Plain()


class AuditOut(Out):
    """One line of the audit log, as the user whose account it is about may see it."""

    id = Plain()
    action = Plain()
    by_you = fields.Function(lambda entry: entry.actor_id == entry.subject_id)
    address = fields.Function(lambda entry: entry.address if _is_open(entry) else None)
    data = fields.Function(lambda entry: entry.data if _is_open(entry) else None)
    created_at = Plain()


def _is_open(entry: AuditEntry) -> bool:
    """Where an administrator sits and what they noted is nobody else's business."""
    return entry.actor_id in (None, entry.subject_id)
