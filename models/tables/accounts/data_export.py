"""Exports of users' data: ZIP files of JSON that a worker builds, stored in parts for a week."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Record, UtcTime, enum_column


class ExportStatus(StrEnum):
    """The status of an export; if the worker of a `building` one dies, another worker claims it."""

    PENDING = "pending"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class DataExport(Record):
    """An export of a user's data. Its link contains a token, of which only the hash is stored."""

    __tablename__ = "data_exports"
    __table_args__ = (
        CheckConstraint("(ready_at IS NOT NULL) = (status = 'ready')", name="ready_when_ready"),
        Index("ix_data_exports_owned", "user_id", text("created_at DESC")),
        Index("ix_data_exports_open", "created_at", postgresql_where=text("status IN ('pending', 'building')")),
        Index(
            "uq_data_exports_one_at_a_time",
            "user_id",
            unique=True,
            postgresql_where=text("status IN ('pending', 'building')"),
        ),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    status: Mapped[ExportStatus] = mapped_column(
        enum_column(ExportStatus, "status_known"), default=ExportStatus.PENDING, server_default=ExportStatus.PENDING
    )
    tries: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    token_hash: Mapped[bytes | None] = mapped_column(LargeBinary, unique=True)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    started_at: Mapped[UtcTime | None]
    ready_at: Mapped[UtcTime | None]


class DataExportPart(Base):
    """A part of a ZIP file; the parts in the order of their numbers are the file."""

    __tablename__ = "data_export_parts"

    export_id: Mapped[UUID] = mapped_column(ForeignKey("data_exports.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)
