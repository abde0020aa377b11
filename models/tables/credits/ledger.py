"""The ledger: a wallet per user, the holds on it, and every change of its balance. Rows of changes are append-only."""

from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Credits, Record, UpdatedAtMixin, UtcTime, enum_column


class CreditType(StrEnum):
    """The direction of a change of the balance; the mobile app uses these words."""

    CREDIT = "credit"
    DEBIT = "debit"


class HoldStatus(StrEnum):
    """The status of a hold, which is settled once: a part is captured, or all of it released."""

    HELD = "held"
    CAPTURED = "captured"
    RELEASED = "released"


class Credit(UpdatedAtMixin, Base):
    """A user's wallet. Available are `balance - held`; a clawback may take the balance below the held credits."""

    __tablename__ = "credits"
    __table_args__ = (
        CheckConstraint("held >= 0", name="held_not_negative"),
        CheckConstraint("version >= 0", name="version_not_negative"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    balance: Mapped[Credits] = mapped_column(default=Decimal(0), server_default=text("0"))
    held: Mapped[Credits] = mapped_column(default=Decimal(0), server_default=text("0"))
    version: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))  # of its last transaction


class CreditTransaction(Record):
    """A change of a balance. The database rejects updates and deletions of these rows."""

    __tablename__ = "credit_transactions"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        UniqueConstraint("user_id", "version", name="uq_credit_transactions_no_gap_in_history"),
        Index("ix_credit_transactions_execution", "execution_id", postgresql_where=text("execution_id IS NOT NULL")),
        Index("ix_credit_transactions_purchase", "purchase_id", postgresql_where=text("purchase_id IS NOT NULL")),
        Index("ix_credit_transactions_newest", text("created_at DESC"), text("id DESC")),  # of all users
        # For charts of a period; includes all columns that they add up.
        Index(
            "ix_credit_transactions_by_time", "user_id", "created_at", postgresql_include=["type", "amount", "source"]
        ),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    version: Mapped[int] = mapped_column(BigInteger)  # counts each user's transactions from 1
    key: Mapped[str] = mapped_column(String(200), unique=True)  # the same key never moves credits twice
    type: Mapped[CreditType] = mapped_column(enum_column(CreditType, "type_known"))
    amount: Mapped[Credits]
    balance_after: Mapped[Credits]
    reason: Mapped[str] = mapped_column(Text)  # a sentence for the user
    source: Mapped[str] = mapped_column(String(40))  # the kind of cause: welcome, execution, ...
    execution_id: Mapped[UUID | None]  # no foreign key: the ledger outlives the history of runs
    purchase_id: Mapped[UUID | None]  # the purchase that was granted, clawed back or restored
    reported_workflow: Mapped[str | None] = mapped_column(String(64))  # of reported usage: the client's workflow id


class CreditHold(Base):
    """The credits set aside for a run, which are the most that it may cost, until it has ended."""

    __tablename__ = "credit_holds"
    __table_args__ = (
        CheckConstraint("amount >= 0", name="amount_not_negative"),
        CheckConstraint("captured BETWEEN 0 AND amount", name="captured_within_amount"),
        CheckConstraint(
            "CASE status WHEN 'captured' THEN captured > 0 ELSE captured = 0 END", name="captured_when_captured"
        ),
        CheckConstraint("(settled_at IS NULL) = (status = 'held')", name="settled_once"),
        Index("ix_credit_holds_open", "user_id", postgresql_where=text("status = 'held'")),
    )

    execution_id: Mapped[UUID] = mapped_column(primary_key=True)  # no foreign key: it outlives the history of runs
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    amount: Mapped[Credits]
    captured: Mapped[Credits] = mapped_column(default=Decimal(0), server_default=text("0"))
    status: Mapped[HoldStatus] = mapped_column(
        enum_column(HoldStatus, "status_known"), default=HoldStatus.HELD, server_default=HoldStatus.HELD
    )
    created_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    settled_at: Mapped[UtcTime | None]
