"""The calls to AI providers, agents and APIs that count against a month's allowance."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, UtcTime


class ApiCall(Base):
    """One node of one run (in one iteration) that called outside, from its first attempt on."""

    __tablename__ = "api_calls"
    __table_args__ = (
        Index("ix_api_calls_by_time", "user_id", "at"),
        Index("ix_api_calls_age", "at", postgresql_using="brin"),  # rows come in the order of time, and go in it
    )

    execution_id: Mapped[UUID] = mapped_column(
        primary_key=True
    )  # no foreign key: the count outlives the history of runs
    node_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    path: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    at: Mapped[UtcTime] = mapped_column(server_default=func.now())
