"""Our mirror of Stripe's subscriptions."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, false, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Changing, Record, UtcTime, words
from models.rules.pricing import Tier


class Subscription(Changing, Record):
    """One subscription. `status` is Stripe's word, which may be one that we do not know yet."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index("ix_subscriptions_owned", "user_id", text("started_at DESC")),
        # Those that grant something or may again: what the end of a grace and reconciliation look for.
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
    tier: Mapped[Tier] = mapped_column(words(Tier, "tier_known"))  # what the price stands for
    # What it entitles its user to now; less than `tier` while it is not paid for.
    grants: Mapped[Tier] = mapped_column(words(Tier, "grants_known"), default=Tier.FREE, server_default=Tier.FREE)
    status: Mapped[str] = mapped_column(String(40))
    current_period_start: Mapped[UtcTime | None]
    current_period_end: Mapped[UtcTime | None]
    cancel_at_period_end: Mapped[bool] = mapped_column(default=False, server_default=false())
    cancel_at: Mapped[UtcTime | None]
    canceled_at: Mapped[UtcTime | None]
    ended_at: Mapped[UtcTime | None]
    trial_end: Mapped[UtcTime | None]
    past_due_since: Mapped[UtcTime | None]
    latest_invoice_id: Mapped[str | None] = mapped_column(String(255))
    started_at: Mapped[UtcTime]  # by Stripe's clock
