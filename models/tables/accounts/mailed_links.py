"""Links that are mailed: to verify an address, to undo the change of one, to reset a forgotten password."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, collate, func, text
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Record, UtcTime, enum_column


class LinkPurpose(StrEnum):
    """The effect of following a link."""

    VERIFY = "verify"  # verifies the address of a new account, or the one that replaces the current address
    UNDO = "undo"  # restores the address that was replaced


class EmailLink(Record):
    """A link that works once. Its token is made when its mail is sent."""

    __tablename__ = "email_links"
    __table_args__ = (
        Index("ix_email_links_owned", "user_id", "created_at"),
        Index("ix_email_links_address", func.lower(collate(text("email"), "C")), "created_at"),
        Index("ix_email_links_created_at", "created_at"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[LinkPurpose] = mapped_column(enum_column(LinkPurpose, "purpose_known"))
    email: Mapped[str] = mapped_column(String(254))  # the address to verify or restore, to which the link is mailed
    token_hash: Mapped[bytes | None] = mapped_column(LargeBinary, unique=True)  # SHA-256; the token is random
    expires_at: Mapped[UtcTime]
    closed_at: Mapped[UtcTime | None]  # when it was followed or became invalid


class PasswordReset(Record):
    """A request by an anonymous caller; a worker looks up the user. It is deleted once it was used."""

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
