"""Requests to Stripe, stored with their exact parameters and key before they are sent."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import JsonB, Record, UpdatedAtMixin, UtcTime, enum_column


class RequestKind(StrEnum):
    """The kind of a request, which determines how a worker reads `params`."""

    PURCHASE = "purchase"
    SUBSCRIPTION_CREATE = "subscription_create"
    SUBSCRIPTION_UPDATE = "subscription_update"
    SUBSCRIPTION_CANCEL = "subscription_cancel"
    SUBSCRIPTION_RESUME = "subscription_resume"
    PAYMENT_METHOD_ADD = "payment_method_add"
    PAYMENT_METHOD_DEFAULT = "payment_method_default"
    PAYMENT_METHOD_REMOVE = "payment_method_remove"
    ACCOUNT_CLOSE = "account_close"
    PURCHASE_CANCEL = "purchase_cancel"
    CUSTOMER_UPDATE = "customer_update"
    SUBSCRIPTION_PREVIEW = "subscription_preview"


class RequestStatus(StrEnum):
    """The status of a request; `done` and `failed` are final."""

    PENDING = "pending"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


class StripeRequest(UpdatedAtMixin, Record):
    """A request of a user. Every try sends the same key to Stripe, so that it has one effect."""

    __tablename__ = "stripe_requests"
    __table_args__ = (
        CheckConstraint("attempt >= 1", name="attempt_counts_from_one"),
        CheckConstraint("tries >= 0", name="tries_not_negative"),
        CheckConstraint("(finished_at IS NOT NULL) = (status IN ('done', 'failed'))", name="finished_when_over"),
        CheckConstraint("status <> 'done' OR result IS NOT NULL", name="done_has_result"),
        CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="failed_says_why"),
        Index("ix_stripe_requests_open", "created_at", postgresql_where=text("status IN ('pending', 'working')")),
        Index("ix_stripe_requests_owned", "user_id", text("created_at DESC")),
        Index("ix_stripe_requests_subject", "subject_id", postgresql_where=text("subject_id IS NOT NULL")),
        # Two creations under way at once would leave a user with two paid subscriptions.
        Index(
            "uq_stripe_requests_one_subscription",
            "user_id",
            unique=True,
            postgresql_where=text("kind = 'subscription_create' AND status IN ('pending', 'working')"),
        ),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[RequestKind] = mapped_column(enum_column(RequestKind, "kind_known", 40))
    subject_id: Mapped[UUID | None]  # the id of our row that it concerns, such as the purchase
    request_id: Mapped[str | None] = mapped_column(String(64))  # of the request to our API that caused it, for logs
    params: Mapped[JsonB]  # as sent to Stripe, without the customer
    key: Mapped[str] = mapped_column(String(255), unique=True)
    # Part of the key, so that a new attempt is a new request at Stripe.
    attempt: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    attempt_started_at: Mapped[UtcTime | None]  # Stripe forgets keys after a day
    status: Mapped[RequestStatus] = mapped_column(
        enum_column(RequestStatus, "status_known"), default=RequestStatus.PENDING, server_default=RequestStatus.PENDING
    )
    tries: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    result: Mapped[JsonB] = mapped_column(nullable=True)  # the body of the API's response
    error: Mapped[JsonB] = mapped_column(nullable=True)  # {code, message, declined}
    last_error: Mapped[str | None] = mapped_column(String(500))  # of a try that is repeated
    started_at: Mapped[UtcTime | None]
    finished_at: Mapped[UtcTime | None]
    next_try_at: Mapped[UtcTime | None]
    enqueued_at: Mapped[UtcTime | None]
