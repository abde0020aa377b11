"""Purchases of credits, each with the package as it was sold."""

from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Credits, JsonB, Record, UpdatedAtMixin, UtcTime, enum_column


class PurchaseStatus(StrEnum):
    """The status of a purchase: `succeeded` (paid and granted) is final; a failed or canceled one may still be paid."""

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    REVIEW = "review"  # paid, but not as requested: an administrator has to decide


class Purchase(UpdatedAtMixin, Record):
    """A package bought by a user. `credits_taken` are clawed back by refunds and disputes, and not restored since."""

    __tablename__ = "purchases"
    __table_args__ = (
        CheckConstraint("credits > 0 AND bonus >= 0", name="credits_positive"),
        CheckConstraint("amount_cents > 0", name="amount_positive"),
        CheckConstraint("credits_taken BETWEEN 0 AND credits + bonus", name="taken_within_grant"),
        CheckConstraint("status = 'succeeded' OR credits_taken = 0", name="taken_after_grant"),
        CheckConstraint(
            "CASE status WHEN 'succeeded' THEN paid_at IS NOT NULL AND payment_intent_id IS NOT NULL"
            " ELSE paid_at IS NULL END",
            name="paid_when_succeeded",
        ),
        Index("ix_purchases_owned", "user_id", text("created_at DESC"), text("id DESC")),
        Index("ix_purchases_paid", "paid_at", postgresql_where=text("paid_at IS NOT NULL")),
        Index(
            "ix_purchases_open",
            "created_at",
            postgresql_where=text("status IN ('pending', 'requires_action', 'processing', 'failed', 'review')"),
        ),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    package_id: Mapped[str] = mapped_column(String(40))
    credits: Mapped[Credits]
    bonus: Mapped[Credits]
    amount_cents: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    price_list: Mapped[str] = mapped_column(String(40))
    status: Mapped[PurchaseStatus] = mapped_column(
        enum_column(PurchaseStatus, "status_known"),
        default=PurchaseStatus.PENDING,
        server_default=PurchaseStatus.PENDING,
    )
    payment_method_id: Mapped[str | None] = mapped_column(String(255))  # Stripe's, if it is charged at once
    payment_intent_id: Mapped[str | None] = mapped_column(String(255), unique=True)
    customer_id: Mapped[str | None] = mapped_column(String(255))  # Stripe's, as the intent named it
    client_secret: Mapped[str | None] = mapped_column(Text)  # for the owner's app only
    authentication_url: Mapped[str | None] = mapped_column(Text)  # where the bank asks the owner to confirm
    failure: Mapped[JsonB] = mapped_column(nullable=True)  # {code, declineCode, message} of the last attempt to pay
    credits_taken: Mapped[Credits] = mapped_column(default=Decimal(0), server_default=text("0"))
    paid_at: Mapped[UtcTime | None]

    @property
    def granted(self) -> Decimal:
        """The credits of the package with its bonus."""
        return self.credits + self.bonus
