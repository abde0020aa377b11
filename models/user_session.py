"""Sessions: one for each time a user signed in. What a token says counts only while its session's row says the same."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, String, func, text
from sqlalchemy.dialects.postgresql import ARRAY, INET
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Record, UtcTime


class UserSession(Record):
    """A family of tokens, each refreshed from the one before. Ending it is deleting it."""

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("generation >= 0", name="generation_not_negative"),
        Index("ix_sessions_owned", "user_id", text("created_at DESC"), text("id DESC")),
        Index("ix_sessions_expires_at", "expires_at"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    epoch: Mapped[int]  # the user's when the password was checked; once the user's moves on, the session is over
    generation: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # of the newest token
    # When each of the last few generations was refreshed, the newest last: from then on its grace runs.
    refreshed_at: Mapped[list[datetime]] = mapped_column(
        ARRAY(DateTime(timezone=True)), default=list, server_default=text("'{}'")
    )
    last_seen_at: Mapped[UtcTime] = mapped_column(server_default=func.now())  # to the minute
    expires_at: Mapped[UtcTime]  # with its newest token
    user_agent: Mapped[str | None] = mapped_column(String(300))
    address: Mapped[str | None] = mapped_column(INET)
