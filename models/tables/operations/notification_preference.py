"""What users turned off of their notifications, and the keys that sign links for turning mails off."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, UtcTime, enum_column
from models.tables.operations.notification import Channel


class NotificationTopic(StrEnum):
    """A subject of notifications that users turn on and off: one or several kinds, or a part of one."""

    RUN_FAILED = "run_failed"
    RUN_FINISHED = "run_finished"  # successful and cancelled runs
    APPROVAL_NEEDED = "approval_needed"
    LOW_BALANCE = "low_balance"
    PAYMENT_FAILED = "payment_failed"
    PURCHASE = "purchase"
    INVOICE_UPCOMING = "invoice_upcoming"
    CREDITS_ADJUSTED = "credits_adjusted"
    TEMPLATE_UNPUBLISHED = "template_unpublished"
    SECURITY = "security"  # addresses, passwords, second factors, devices, exports and deletions
    SCHEDULE_STOPPED = "schedule_stopped"


class MutedTopic(Base):
    """A topic that a user turned off for one channel. What has no row is on."""

    __tablename__ = "muted_topics"
    __table_args__ = (
        CheckConstraint(
            "topic <> 'security' AND (channel = 'push' OR topic NOT IN"
            " ('purchase', 'invoice_upcoming', 'credits_adjusted', 'template_unpublished'))",
            name="required_stays_on",
        ),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    topic: Mapped[NotificationTopic] = mapped_column(enum_column(NotificationTopic, "topic_known"), primary_key=True)
    channel: Mapped[Channel] = mapped_column(enum_column(Channel, "channel_known"), primary_key=True)
    created_at: Mapped[UtcTime] = mapped_column(server_default=func.now())


class UnsubscribeKey(Base):
    """The key that signs a user's links for turning mails off, made with the first of such mails.

    It is the user's own, because the process that sends mails has no secret in common with the API.
    """

    __tablename__ = "unsubscribe_keys"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
