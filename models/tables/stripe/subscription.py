"""Our mirror of Stripe's subscriptions."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, false, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Record, UpdatedAtMixin, UtcTime, enum_column
from models.rules.prices.pricing import Tier


class Subscription(UpdatedAtMixin, Record):
    """A subscription. `status` is as at Stripe and may have a value that we do not know."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index("ix_subscriptions_granting_until", "grants_until", postgresql_where=text("grants_until IS NOT NULL")),
        Index("ix_subscriptions_owned", "user_id", text("started_at DESC")),
        # For the subscriptions that grant a tier or may do so again; grace periods and reconciliation search them.
        Index(
            "ix_subscriptions_open",
            "status",
            postgresql_where=text("status NOT IN ('canceled', 'incomplete_expired')"),
        ),
    )

    stripe_id: Mapped[str] = mapped_column(String(255), unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    customer_id: Mapped[str] = mapped_column(String(255))
    price_id: Mapped[str] = mapped_column(String(255))
    item_id: Mapped[str] = mapped_column(String(255))
    tier: Mapped[Tier] = mapped_column(enum_column(Tier, "tier_known"))  # the tier of its price
    # The tier that its user has now; lower than `tier` while it is not paid for.
    grants: Mapped[Tier] = mapped_column(enum_column(Tier, "grants_known"), default=Tier.FREE, server_default=Tier.FREE)
    status: Mapped[str] = mapped_column(String(40))
    current_period_start: Mapped[UtcTime | None]
    current_period_end: Mapped[UtcTime | None]
    cancel_at_period_end: Mapped[bool] = mapped_column(default=False, server_default=false())
    cancel_at: Mapped[UtcTime | None]
    canceled_at: Mapped[UtcTime | None]
    ended_at: Mapped[UtcTime | None]
    trial_end: Mapped[UtcTime | None]
    grants_until: Mapped[UtcTime | None]  # when `grants` ends unless a payment is reported
    past_due_since: Mapped[UtcTime | None]
    latest_invoice_id: Mapped[str | None] = mapped_column(String(255))
    started_at: Mapped[UtcTime]  # by Stripe's clock
