"""Users. An email address belongs to one of them, whatever its case."""

from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Changing, Record, ShortText, words
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
    # A session carries the epoch in which it began; raising it ends every session at once.
    token_epoch: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    stripe_customer_id: Mapped[str | None] = mapped_column(String(255), unique=True)
    # Counts the customers that Stripe deleted, so that the next one is made under another idempotency key.
    stripe_customers_lost: Mapped[int] = mapped_column(default=0, server_default=text("0"))

    __table_args__ = (
        CheckConstraint("token_epoch >= 0", name="token_epoch_not_negative"),
        Index("ix_users_newest", text("created_at DESC"), text("id DESC")),
        Index("uq_users_email", func.lower(email), unique=True),
    )
