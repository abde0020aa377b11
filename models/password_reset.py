"""Wishes to set a new password without the old one. The token that grants it is made when its mail is sent."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Record, UtcTime


class PasswordReset(Record):
    """One wish, as a stranger uttered it; whose it is a worker finds out. It is deleted once it was used."""

    __tablename__ = "password_resets"
    __table_args__ = (
        CheckConstraint("(token_hash IS NULL) = (expires_at IS NULL)", name="token_expires"),
        Index("ix_password_resets_owned", "user_id", text("created_at DESC")),
        Index("ix_password_resets_new", "created_at", postgresql_where=text("user_id IS NULL")),
        Index("ix_password_resets_created_at", "created_at"),
    )

    email: Mapped[str] = mapped_column(String(254))
    address: Mapped[str | None] = mapped_column(INET)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token_hash: Mapped[bytes | None] = mapped_column(LargeBinary, unique=True)  # SHA-256; the token is random
    expires_at: Mapped[UtcTime | None]
