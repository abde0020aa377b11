"""Signing in: a session for each sign-in, and the second factor of an account."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Index, LargeBinary, String, func, text
from sqlalchemy.dialects.postgresql import ARRAY, INET
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Record, UpdatedAtMixin, UtcTime


class UserSession(Record):
    """A sign-in and its tokens, each refreshed from the one before; an ended session is deleted."""

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("generation >= 0", name="generation_not_negative"),
        Index("ix_sessions_owned", "user_id", text("created_at DESC"), text("id DESC")),
        Index("ix_sessions_expires_at", "expires_at"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    epoch: Mapped[int]  # the user's `token_epoch` at sign-in; the session ends when the user's is raised
    generation: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # of the newest token
    # When each of the last few generations was refreshed, newest last; its grace period begins then.
    refreshed_at: Mapped[list[datetime]] = mapped_column(
        ARRAY(DateTime(timezone=True)), default=list, server_default=text("'{}'")
    )
    last_seen_at: Mapped[UtcTime] = mapped_column(server_default=func.now())  # to the minute
    expires_at: Mapped[UtcTime]  # when the newest token expires
    written_position: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))  # see models/replicas.py
    user_agent: Mapped[str | None] = mapped_column(String(300))
    address: Mapped[str | None] = mapped_column(INET)


class TwoFactor(UpdatedAtMixin, Base):
    """The second factor of a user. It is required once it is confirmed; its ciphertext is bound to its user."""

    __tablename__ = "two_factor"
    __table_args__ = (CheckConstraint("failures >= 0", name="failures_not_negative"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(40))  # which of our encryption keys
    nonce: Mapped[bytes] = mapped_column(LargeBinary)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    confirmed_at: Mapped[UtcTime | None]
    last_step: Mapped[int | None] = mapped_column(BigInteger)  # time step of the newest code that was accepted
    recovery_hashes: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary), server_default=text("'{}'"))
    failures: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # wrong codes since `failed_at`
    failed_at: Mapped[UtcTime | None]
    created_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
