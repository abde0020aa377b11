"""What we want Stripe to do: written down with its exact parameters and its key before anybody asks."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Changing, JsonB, Record, UtcTime, words


class RequestKind(StrEnum):
    """What is asked for; decides how a worker reads `params`."""

    PURCHASE = "purchase"
    SUBSCRIPTION_CREATE = "subscription_create"
    SUBSCRIPTION_UPDATE = "subscription_update"
    SUBSCRIPTION_CANCEL = "subscription_cancel"
    SUBSCRIPTION_RESUME = "subscription_resume"
    PAYMENT_METHOD_ADD = "payment_method_add"
    PAYMENT_METHOD_DEFAULT = "payment_method_default"
    PAYMENT_METHOD_REMOVE = "payment_method_remove"


class RequestStatus(StrEnum):
    """Pending ones wait for a worker; `done` and `failed` are final."""

    PENDING = "pending"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


class StripeRequest(Changing, Record):
    """One wish of one user. The same key goes to Stripe however often it is tried, so that it happens once."""

    __tablename__ = "stripe_requests"
    __table_args__ = (
        CheckConstraint("attempt >= 1", name="attempt_counts_from_one"),
        CheckConstraint("tries >= 0", name="tries_not_negative"),
        CheckConstraint("(finished_at IS NOT NULL) = (status IN ('done', 'failed'))", name="finished_when_over"),
        CheckConstraint("status <> 'done' OR answer IS NOT NULL", name="done_has_answer"),
        CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="failed_says_why"),
        Index("ix_stripe_requests_open", "created_at", postgresql_where=text("status IN ('pending', 'working')")),
        Index("ix_stripe_requests_owned", "user_id", text("created_at DESC")),
        Index("ix_stripe_requests_subject", "subject_id", postgresql_where=text("subject_id IS NOT NULL")),
        # Two creations under way at once would leave a user with two subscriptions to pay for.
        Index(
            "uq_stripe_requests_one_subscription",
            "user_id",
            unique=True,
            postgresql_where=text("kind = 'subscription_create' AND status IN ('pending', 'working')"),
        ),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[RequestKind] = mapped_column(words(RequestKind, "kind_known", 40))
    subject_id: Mapped[UUID | None]  # our row that it is about, such as the purchase
    params: Mapped[JsonB]  # as Stripe is to get them, but for the customer
    key: Mapped[str] = mapped_column(String(255), unique=True)
    attempt: Mapped[int] = mapped_column(default=1, server_default=text("1"))  # is in the key; a new one is a new wish
    attempt_started_at: Mapped[UtcTime | None]  # Stripe forgets keys after a day
    status: Mapped[RequestStatus] = mapped_column(
        words(RequestStatus, "status_known"), default=RequestStatus.PENDING, server_default=RequestStatus.PENDING
    )
    tries: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    answer: Mapped[JsonB] = mapped_column(nullable=True)  # what the API shows
    error: Mapped[JsonB] = mapped_column(nullable=True)  # {code, message, declined}
    last_error: Mapped[str | None] = mapped_column(String(500))  # of a try that will be repeated
    started_at: Mapped[UtcTime | None]
    finished_at: Mapped[UtcTime | None]
    next_try_at: Mapped[UtcTime | None]
    rung_at: Mapped[UtcTime | None]
