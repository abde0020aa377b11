"""Who did what to whose account, when and from where. Rows are added, never changed, and kept for a year at least."""

from uuid import UUID

from sqlalchemy import Index, String, text
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from models.base import JsonB, Record


class AuditEntry(Record):
    """One deed. The ids have no foreign keys: the log outlives what it tells of."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_newest", text("created_at DESC"), text("id DESC")),
        Index("ix_audit_log_of_subject", "subject_id", text("created_at DESC"), text("id DESC")),
        Index(
            "ix_audit_log_of_actor",
            "actor_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("actor_id IS NOT NULL"),
        ),
    )

    actor_id: Mapped[UUID | None]  # the user who did it; None: a stranger, or the machine's own command line
    action: Mapped[str] = mapped_column(String(60))  # `area.deed` in the past, such as `auth.password_changed`
    subject_id: Mapped[UUID | None]  # the user whose account it is about, or the thing of ours
    address: Mapped[str | None] = mapped_column(INET)
    data: Mapped[JsonB] = mapped_column(nullable=True)  # what else there is to know; never a secret
