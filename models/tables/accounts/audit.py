"""The audit log: who did what to which account, when and from where. Rows are kept for at least a year.

Rows never change, except that names and reasons, which people wrote, are removed when the account is deleted.
"""

from uuid import UUID

from sqlalchemy import Index, String, text
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from models.base import JsonB, Record

WRITTEN = ("name", "reason")  # the fields of `data` that people wrote; all others are ids, numbers and fixed words


class AuditEntry(Record):
    """An action on an account. Its ids are no foreign keys, because the log outlives its subjects."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_newest", text("created_at DESC"), text("id DESC")),
        # For the last backup, which a public route names.
        Index("ix_audit_log_backups", text("created_at DESC"), postgresql_where=text("action = 'database.backed_up'")),
        Index("ix_audit_log_of_subject", "subject_id", text("created_at DESC"), text("id DESC")),
        Index(
            "ix_audit_log_of_actor",
            "actor_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("actor_id IS NOT NULL"),
        ),
    )

    actor_id: Mapped[UUID | None]  # the user who acted; None for an anonymous caller or the command line
    action: Mapped[str] = mapped_column(String(60))  # `area.action` in the past, such as `auth.password_changed`
    subject_id: Mapped[UUID | None]  # the user whose account is affected, or another object
    address: Mapped[str | None] = mapped_column(INET)
    data: Mapped[JsonB] = mapped_column(nullable=True)  # further details; never a secret
