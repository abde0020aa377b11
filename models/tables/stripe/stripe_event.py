"""Events received from Stripe: stored once, handled once, and kept with a reason if handling fails."""

from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, LargeBinary, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, UtcTime, enum_column


class EventStatus(StrEnum):
    """The status of an event; `dead` ones wait for an administrator."""

    RECEIVED = "received"
    WAITING = "waiting"  # failed, and tried again at `next_try_at`
    DONE = "done"
    IGNORED = "ignored"  # of a type that changes nothing here
    DEAD = "dead"


class StripeEvent(Base):
    """An event. Its bytes are kept as they were signed; handling it fetches the current object from Stripe."""

    __tablename__ = "stripe_events"
    __table_args__ = (
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        CheckConstraint("(handled_at IS NOT NULL) = (status IN ('done', 'ignored'))", name="handled_when_over"),
        CheckConstraint("status <> 'dead' OR error IS NOT NULL", name="dead_says_why"),
        Index("ix_stripe_events_open", "received_at", postgresql_where=text("status IN ('received', 'waiting')")),
        Index("ix_stripe_events_dead", "received_at", postgresql_where=text("status = 'dead'")),
        Index("ix_stripe_events_created", "created"),
        # For the events whose bytes are still stored.
        Index(
            "ix_stripe_events_handled",
            "handled_at",
            postgresql_where=text("handled_at IS NOT NULL AND raw <> ''::bytea"),
        ),
    )

    id: Mapped[str] = mapped_column(String(255), primary_key=True)  # Stripe's: evt_...
    type: Mapped[str] = mapped_column(String(100))
    api_version: Mapped[str | None] = mapped_column(String(60))
    created: Mapped[UtcTime]  # by Stripe's clock, in whole seconds, so it does not give the order
    livemode: Mapped[bool]
    raw: Mapped[bytes] = mapped_column(LargeBinary)  # emptied some months after it was handled
    status: Mapped[EventStatus] = mapped_column(
        enum_column(EventStatus, "status_known"), default=EventStatus.RECEIVED, server_default=EventStatus.RECEIVED
    )
    request_id: Mapped[str | None] = mapped_column(String(64))  # of its first delivery, for logs
    attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # counted at their start, for crashes
    begun_at: Mapped[UtcTime | None]  # of the attempt under way
    next_try_at: Mapped[UtcTime | None]
    enqueued_at: Mapped[UtcTime | None]
    error: Mapped[str | None] = mapped_column(Text)
    received_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    handled_at: Mapped[UtcTime | None]
