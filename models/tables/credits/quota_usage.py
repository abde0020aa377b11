"""Usage that counts against the quotas of a tier: calls to AI providers, agents and APIs, and stored bytes."""

from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, UtcTime


class ApiCall(Base):
    """The number of requests that a node of a run sent, in one iteration."""

    __tablename__ = "api_calls"
    __table_args__ = (
        Index("ix_api_calls_by_time", "user_id", "at", postgresql_include=["requests"]),
        CheckConstraint("requests >= 0", name="requests_not_negative"),
        Index("ix_api_calls_age", "at", postgresql_using="brin"),  # rows are inserted and deleted in order of time
    )

    execution_id: Mapped[UUID] = mapped_column(
        primary_key=True
    )  # no foreign key: the count outlives the history of runs
    node_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    path: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    requests: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    last_request: Mapped[int] = mapped_column(default=1, server_default=text("1"))  # its number, to count repeats once
    at: Mapped[UtcTime] = mapped_column(server_default=func.now())


class StorageUsed(Base):
    """The last measurement of a user's storage; `wanted_at` requests the next one."""

    __tablename__ = "storage_used"
    __table_args__ = (
        CheckConstraint("bytes >= 0", name="bytes_not_negative"),
        Index("ix_storage_used_wanted", "wanted_at", postgresql_where=text("wanted_at IS NOT NULL")),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    measured_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    wanted_at: Mapped[UtcTime | None]
