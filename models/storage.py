"""What each user was found to store, when somebody last looked."""

from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, UtcTime


class StorageUsed(Base):
    """The last measurement of one user's storage; `wanted_at` asks for the next one."""

    __tablename__ = "storage_used"
    __table_args__ = (
        CheckConstraint("bytes >= 0", name="bytes_not_negative"),
        Index("ix_storage_used_wanted", "wanted_at", postgresql_where=text("wanted_at IS NOT NULL")),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    measured_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    wanted_at: Mapped[UtcTime | None]
