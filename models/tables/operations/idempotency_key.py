"""First responses to requests with an Idempotency-Key, so that a repeat gets the same response."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, JsonB, UtcTime


class IdempotencyKey(Base):
    """A key of a user, and the response to the first request with it."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))  # of method, path and body: SHA-256 in hexadecimal
    status: Mapped[int | None]  # of the HTTP response
    response: Mapped[JsonB] = mapped_column(nullable=True)  # its body and headers
    created_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
