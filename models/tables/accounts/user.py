"""Users, and hashes of deleted users' addresses. An address, compared without case, belongs to at most one user."""

from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, LargeBinary, String, Text, collate, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Record, ShortText, UpdatedAtMixin, UtcTime, enum_column
from models.rules.prices.pricing import Tier


class Role(StrEnum):
    """The role of a user: administrators may also use the routes below `/admin`."""

    USER = "user"
    ADMIN = "admin"


class User(UpdatedAtMixin, Record):
    """A person with an account."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(String(254))  # as typed, in ASCII; compared by `rules.emails.key`
    name: Mapped[ShortText]
    email_verified_at: Mapped[UtcTime | None]  # when the user followed a link that was mailed to it
    pending_email: Mapped[str | None] = mapped_column(String(254))  # replaces `email` once it is verified
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[Role] = mapped_column(enum_column(Role, "role_known"), default=Role.USER, server_default=Role.USER)
    subscription_tier: Mapped[Tier] = mapped_column(
        enum_column(Tier, "tier_known"), default=Tier.FREE, server_default=Tier.FREE
    )
    # The tier that an operator granted; the user's tier is the higher one of this and those of subscriptions.
    granted_tier: Mapped[Tier | None] = mapped_column(enum_column(Tier, "granted_tier_known"))
    # A session carries the epoch in which it began; raising it ends every session at once.
    token_epoch: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    stripe_customer_id: Mapped[str | None] = mapped_column(String(255), unique=True)
    # Counts customers that were deleted at Stripe and idempotency keys that Stripe stored a failure under, because it
    # is part of the key under which the next customer is created.
    stripe_customers_lost: Mapped[int] = mapped_column(default=0, server_default=text("0"))

    locked_at: Mapped[UtcTime | None]  # when an operator locked the account: no session starts, no access key is valid
    deleted_at: Mapped[UtcTime | None]  # when the row was anonymized; it stays for the rows that refer to it
    erased_at: Mapped[UtcTime | None]  # when the rest of the user's data was erased too

    __table_args__ = (
        CheckConstraint("erased_at IS NULL OR deleted_at IS NOT NULL", name="erased_when_deleted"),
        Index(
            "ix_users_to_erase",
            "deleted_at",
            postgresql_where=text("deleted_at IS NOT NULL AND erased_at IS NULL"),
        ),
        CheckConstraint("token_epoch >= 0", name="token_epoch_not_negative"),
        Index("ix_users_newest", text("created_at DESC"), text("id DESC")),
        Index("uq_users_email", func.lower(collate(email, "C")), unique=True),
    )


class FormerAddress(Base):
    """The hash of a deleted account's address, so that an address gets welcome credits only once.

    It cannot be reversed by trying all addresses, because it is keyed by a secret.
    """

    __tablename__ = "former_addresses"

    address_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    created_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
