"""Our mirror of Stripe's invoices, which are for subscriptions."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Record, UpdatedAtMixin, UtcTime


class Invoice(UpdatedAtMixin, Record):
    """An invoice. Its PDF is stored at Stripe."""

    __tablename__ = "invoices"
    __table_args__ = (
        Index("ix_invoices_owned", "user_id", text("issued_at DESC"), text("id DESC")),
        Index(
            "ix_invoices_payment_intent", "payment_intent_id", postgresql_where=text("payment_intent_id IS NOT NULL")
        ),
        Index("ix_invoices_paid", "paid_at", postgresql_where=text("paid_at IS NOT NULL")),
        Index("ix_invoices_subscription", "subscription_id", postgresql_where=text("subscription_id IS NOT NULL")),
    )

    stripe_id: Mapped[str] = mapped_column(String(255), unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    number: Mapped[str | None] = mapped_column(String(60))
    description: Mapped[str] = mapped_column(Text)
    amount_cents: Mapped[int]  # negative for a credit for unused time
    currency: Mapped[str] = mapped_column(String(3))
    status: Mapped[str] = mapped_column(String(40))  # as at Stripe
    billing_reason: Mapped[str | None] = mapped_column(String(60))
    subscription_id: Mapped[str | None] = mapped_column(String(255))  # Stripe's
    payment_intent_id: Mapped[str | None] = mapped_column(String(255))  # never that of a purchase of credits
    hosted_url: Mapped[str | None] = mapped_column(Text)
    pdf_url: Mapped[str | None] = mapped_column(Text)
    paid_at: Mapped[UtcTime | None]
    issued_at: Mapped[UtcTime]  # by Stripe's clock
