"""Access keys, which programs send as bearer in place of a token. Only a hash of each is stored."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Record, UtcTime


class KeyScope(StrEnum):
    """A permission of an access key."""

    WORKFLOWS_READ = "workflows:read"
    WORKFLOWS_WRITE = "workflows:write"
    EXECUTIONS_READ = "executions:read"
    EXECUTIONS_RUN = "executions:run"
    CREDITS_READ = "credits:read"
    BILLING_READ = "billing:read"
    BILLING_WRITE = "billing:write"


class AccessKey(Record):
    """An access key of a user; a revoked key is deleted."""

    __tablename__ = "access_keys"
    __table_args__ = (
        CheckConstraint("cardinality(scopes) > 0", name="allows_something"),
        Index("ix_access_keys_owned", "user_id", text("created_at DESC"), text("id DESC")),
        Index("ix_access_keys_expires_at", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)  # SHA-256: the secret is random and long
    last4: Mapped[str] = mapped_column(String(4))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(40)))
    expires_at: Mapped[UtcTime | None]
    last_used_at: Mapped[UtcTime | None]  # to the minute
    written_position: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))  # see models/replicas.py
