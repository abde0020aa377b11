"""Notifications of users by mail and push, and alerts for operators; written in the transaction of their cause."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, JsonB, Record, UpdatedAtMixin, UtcTime, enum_column


class NotificationKind(StrEnum):
    """The kind of a notification, which selects its text."""

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
    TWO_FACTOR = "two_factor"
    DATA_EXPORT = "data_export"
    DEVICE_TAKEN = "device_taken"
    EMAIL_LINK = "email_link"
    EMAIL_IN_USE = "email_in_use"
    TEMPLATE_UNPUBLISHED = "template_unpublished"
    ACCOUNT_DELETED = "account_deleted"
    SCHEDULE_STOPPED = "schedule_stopped"


# Kinds that are mailed to unverified addresses: they contain links, and no text that a user wrote.
UNVERIFIED_KINDS = frozenset([NotificationKind.EMAIL_LINK, NotificationKind.PASSWORD_RESET])


class Channel(StrEnum):
    """The channel of a notification."""

    EMAIL = "email"
    PUSH = "push"


class NotificationStatus(StrEnum):
    """The status of a notification; one whose sender died while `sending` is sent again."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"


class Notification(UpdatedAtMixin, Record):
    """A notification by one channel."""

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("key", "channel", name="uq_notifications_once"),
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        CheckConstraint("(sent_at IS NOT NULL) = (status = 'sent')", name="sent_when_sent"),
        Index("ix_notifications_open", "next_try_at", postgresql_where=text("status IN ('pending', 'sending')")),
        Index("ix_notifications_owned", "user_id", text("created_at DESC")),
        Index(
            "ix_notifications_with_payload",
            "created_at",
            postgresql_where=text("status IN ('sent', 'failed') AND payload <> '{}'::jsonb"),
        ),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    kind: Mapped[NotificationKind] = mapped_column(enum_column(NotificationKind, "kind_known"))
    channel: Mapped[Channel] = mapped_column(enum_column(Channel, "channel_known"))
    payload: Mapped[JsonB]  # the values in its text; emptied some weeks after it was sent
    key: Mapped[str] = mapped_column(String(200))  # permanent key of its cause, so that it is sent once
    status: Mapped[NotificationStatus] = mapped_column(
        enum_column(NotificationStatus, "status_known"),
        default=NotificationStatus.PENDING,
        server_default=NotificationStatus.PENDING,
    )
    attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    next_try_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    error: Mapped[str | None] = mapped_column(Text)
    sent_at: Mapped[UtcTime | None]


class PushDevice(Base):
    """A device of a user for push notifications, by its Expo token."""

    __tablename__ = "push_devices"
    __table_args__ = (Index("ix_push_devices_owned", "user_id"),)

    token: Mapped[str] = mapped_column(String(200), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[UtcTime] = mapped_column(server_default=func.now())


class PushTicket(Base):
    """A push that Expo accepted and whose receipt is not fetched yet; it is deleted with its device."""

    __tablename__ = "push_tickets"
    __table_args__ = (
        Index("ix_push_tickets_due_at", "due_at"),
        Index("ix_push_tickets_token", "token"),
        Index("ix_push_tickets_created_at", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(100), primary_key=True)  # Expo's
    token: Mapped[str] = mapped_column(ForeignKey("push_devices.token", ondelete="CASCADE"))
    created_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    due_at: Mapped[UtcTime]  # when its receipt is fetched


class PushFailure(Base):
    """The number of push receipts with an error, by error."""

    __tablename__ = "push_failures"

    error: Mapped[str] = mapped_column(String(60), primary_key=True)
    failures: Mapped[int] = mapped_column(BigInteger)


class BillingAlert(Record):
    """A billing problem for a person to decide. Raised once per `key`, open until it is resolved."""

    __tablename__ = "billing_alerts"
    __table_args__ = (Index("ix_billing_alerts_open", "created_at", postgresql_where=text("resolved_at IS NULL")),)

    kind: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(255))  # an id, ours or Stripe's
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    detail: Mapped[str] = mapped_column(Text)
    data: Mapped[JsonB] = mapped_column(nullable=True)
    key: Mapped[str] = mapped_column(String(255), unique=True)
    resolved_at: Mapped[UtcTime | None]
