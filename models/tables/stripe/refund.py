"""Refunds, and disputes opened by a bank, which return money to a customer."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Record, UpdatedAtMixin, UtcTime


class Reversal(UpdatedAtMixin, Record):
    """The columns of both refunds and disputes. `counted_cents` is the part that is reflected in credits."""

    __abstract__ = True

    stripe_id: Mapped[str] = mapped_column(String(255), unique=True)
    purchase_id: Mapped[UUID] = mapped_column(ForeignKey("purchases.id"))
    charge_id: Mapped[str | None] = mapped_column(String(255))
    amount_cents: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    status: Mapped[str] = mapped_column(String(40))  # as at Stripe, which may add values
    reason: Mapped[str | None] = mapped_column(Text)
    counted_cents: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    rounds: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # how often it moved credits
    issued_at: Mapped[UtcTime]  # by Stripe's clock


class Refund(Reversal):
    """A refund of a purchase, whole or in part."""

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint("amount_cents > 0", name="amount_positive"),
        CheckConstraint("counted_cents IN (0, amount_cents)", name="counted_whole_or_not"),
        Index("ix_refunds_purchase", "purchase_id"),
        Index("ix_refunds_age", "created_at"),
    )

    failure_reason: Mapped[str | None] = mapped_column(Text)


class Dispute(Reversal):
    """A dispute of a purchase. An inquiry (`warning_...`) takes nothing; a lost one may still be won on appeal."""

    __tablename__ = "disputes"
    __table_args__ = (
        CheckConstraint("amount_cents >= 0", name="amount_not_negative"),
        CheckConstraint("counted_cents >= 0", name="counted_not_negative"),  # the amount in dispute may change
        Index("ix_disputes_purchase", "purchase_id"),
        Index("ix_disputes_age", "created_at"),
    )
