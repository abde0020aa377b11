"""The ledger: a wallet per user, the holds on it, and every change of its balance. Changes are added, never altered."""

from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Changing, Credits, Record, UtcTime, words


class CreditType(StrEnum):
    """Which way credits moved; words of the mobile app."""

    CREDIT = "credit"
    DEBIT = "debit"


class HoldStatus(StrEnum):
    """A hold is settled once: something was captured, or all of it released."""

    HELD = "held"
    CAPTURED = "captured"
    RELEASED = "released"


class Credit(Changing, Base):
    """A user's wallet. What may be spent is `balance - held`; a clawback may take the balance below what is held."""

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
    """One change of one balance. The database refuses to change or delete it."""

    __tablename__ = "credit_transactions"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        UniqueConstraint("user_id", "version", name="uq_credit_transactions_no_gap_in_history"),
        Index("ix_credit_transactions_execution", "execution_id", postgresql_where=text("execution_id IS NOT NULL")),
        Index("ix_credit_transactions_purchase", "purchase_id", postgresql_where=text("purchase_id IS NOT NULL")),
        Index("ix_credit_transactions_newest", text("created_at DESC"), text("id DESC")),  # of everybody
        # What moved in a span of time, for charts; everything that they add up is in it.
        Index(
            "ix_credit_transactions_by_time", "user_id", "created_at", postgresql_include=["type", "amount", "source"]
        ),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    version: Mapped[int] = mapped_column(BigInteger)  # counts each user's transactions from 1
    key: Mapped[str] = mapped_column(String(200), unique=True)  # the same key never moves credits twice
    type: Mapped[CreditType] = mapped_column(words(CreditType, "type_known"))
    amount: Mapped[Credits]
    balance_after: Mapped[Credits]
    reason: Mapped[str] = mapped_column(Text)  # a sentence for the user
    source: Mapped[str] = mapped_column(String(40))  # what kind of thing moved it: welcome, execution, ...
    execution_id: Mapped[UUID | None]  # no foreign key: the ledger outlives the history of runs
    purchase_id: Mapped[UUID | None]  # what granted it, or was taken back or given back


class CreditHold(Base):
    """What a run may cost at most, set aside while it is not over."""

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
        words(HoldStatus, "status_known"), default=HoldStatus.HELD, server_default=HoldStatus.HELD
    )
    created_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    settled_at: Mapped[UtcTime | None]
