"""Messages that go out: to users by mail and push, and to operators as alerts. Written with the effect they tell of."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Changing, JsonB, Record, UtcTime, words


class NotificationKind(StrEnum):
    """What is told."""

    PURCHASE = "purchase"
    PAYMENT_FAILED = "payment_failed"
    INVOICE_UPCOMING = "invoice_upcoming"
    RUN_FINISHED = "run_finished"
    LOW_BALANCE = "low_balance"
    APPROVAL_NEEDED = "approval_needed"
    PASSWORD_RESET = "password_reset"  # noqa: S105  # no password
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # nor this
    EMAIL_CHANGED = "email_changed"
    CREDITS_ADJUSTED = "credits_adjusted"


class Channel(StrEnum):
    """How it is told."""

    EMAIL = "email"
    PUSH = "push"


class NotificationStatus(StrEnum):
    """`sending` is between an attempt and its outcome; who died there is tried again."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"


class Notification(Changing, Record):
    """One message by one channel."""

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("key", "channel", name="uq_notifications_told_once"),
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        CheckConstraint("(sent_at IS NOT NULL) = (status = 'sent')", name="sent_when_sent"),
        Index("ix_notifications_open", "next_try_at", postgresql_where=text("status IN ('pending', 'sending')")),
        Index("ix_notifications_owned", "user_id", text("created_at DESC")),
        Index(
            "ix_notifications_told",
            "created_at",
            postgresql_where=text("status IN ('sent', 'failed') AND payload <> '{}'::jsonb"),
        ),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    kind: Mapped[NotificationKind] = mapped_column(words(NotificationKind, "kind_known"))
    channel: Mapped[Channel] = mapped_column(words(Channel, "channel_known"))
    payload: Mapped[JsonB]  # emptied some weeks after it was told
    key: Mapped[str] = mapped_column(String(200))  # names what is told, for good
    status: Mapped[NotificationStatus] = mapped_column(
        words(NotificationStatus, "status_known"),
        default=NotificationStatus.PENDING,
        server_default=NotificationStatus.PENDING,
    )
    attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    next_try_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    error: Mapped[str | None] = mapped_column(Text)
    sent_at: Mapped[UtcTime | None]


class PushDevice(Base):
    """A phone of a user's that takes push messages, by Expo's token for it."""

    __tablename__ = "push_devices"
    __table_args__ = (Index("ix_push_devices_owned", "user_id"),)

    token: Mapped[str] = mapped_column(String(200), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[UtcTime] = mapped_column(server_default=func.now())


class BillingAlert(Record):
    """Something about money that a person has to look at. Raised once per `key`, open until it is resolved."""

    __tablename__ = "billing_alerts"
    __table_args__ = (Index("ix_billing_alerts_open", "created_at", postgresql_where=text("resolved_at IS NULL")),)

    kind: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(255))  # an id, ours or Stripe's
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    detail: Mapped[str] = mapped_column(Text)
    data: Mapped[JsonB] = mapped_column(nullable=True)
    key: Mapped[str] = mapped_column(String(255), unique=True)
    resolved_at: Mapped[UtcTime | None]
