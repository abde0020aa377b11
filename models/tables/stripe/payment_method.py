"""Our mirror of users' payment methods at Stripe, without card numbers."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, false, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Record, UpdatedAtMixin, UtcTime


class PaymentMethod(UpdatedAtMixin, Record):
    """A payment method, such as a card. The row of a removed one stays, so that a late event does not restore it."""

    __tablename__ = "payment_methods"
    __table_args__ = (
        CheckConstraint("removed_at IS NULL OR NOT is_default", name="removed_is_no_default"),
        Index("ix_payment_methods_owned", "user_id", postgresql_where=text("removed_at IS NULL")),
        Index("uq_payment_methods_one_default", "user_id", unique=True, postgresql_where=text("is_default")),
    )

    stripe_id: Mapped[str] = mapped_column(String(255), unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    type: Mapped[str] = mapped_column(String(40))
    brand: Mapped[str | None] = mapped_column(String(40))
    last4: Mapped[str | None] = mapped_column(String(4))
    exp_month: Mapped[int | None]
    exp_year: Mapped[int | None]
    is_default: Mapped[bool] = mapped_column(default=False, server_default=false())
    removed_at: Mapped[UtcTime | None]
