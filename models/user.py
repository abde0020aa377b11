"""Users, and the tokens of theirs that no longer count. An email address belongs to one user, whatever its case."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Changing, Record, ShortText, UtcTime, words
from models.rules.pricing import Tier


class Role(StrEnum):
    """What a user may do beside using their own things."""

    USER = "user"
    ADMIN = "admin"


class User(Changing, Record):
    """A person with an account."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(String(254))  # as typed; compared in lower case
    name: Mapped[ShortText]
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[Role] = mapped_column(words(Role, "role_known"), default=Role.USER, server_default=Role.USER)
    subscription_tier: Mapped[Tier] = mapped_column(
        words(Tier, "tier_known"), default=Tier.FREE, server_default=Tier.FREE
    )
    # A token carries the epoch in which it was made; raising it ends every session at once.
    token_epoch: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    stripe_customer_id: Mapped[str | None] = mapped_column(String(255), unique=True)
    # Counts the customers that Stripe deleted, so that the next one is made under another idempotency key.
    stripe_customers_lost: Mapped[int] = mapped_column(default=0, server_default=text("0"))

    __table_args__ = (
        CheckConstraint("token_epoch >= 0", name="token_epoch_not_negative"),
        Index("uq_users_email", func.lower(email), unique=True),
    )


class RevokedToken(Base):
    """A token that stops working before it expires; the row may go once the token would have expired anyway."""

    __tablename__ = "revoked_tokens"
    __table_args__ = (Index("ix_revoked_tokens_expires_at", "expires_at"),)

    jti: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    expires_at: Mapped[UtcTime]
    revoked_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    works_until: Mapped[UtcTime]  # after a refresh the old token keeps working for a short grace
