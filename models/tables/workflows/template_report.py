"""Reports of published templates, for administrators to review."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Record, UtcTime, enum_column
from models.tables.workflows.template import Template


class ReportStatus(StrEnum):
    """The status of a report; an administrator has to review the open ones."""

    OPEN = "open"
    CLOSED = "closed"


class ReportOutcome(StrEnum):
    """How a report was closed."""

    DISMISSED = "dismissed"
    UNPUBLISHED = "unpublished"


class TemplateReport(Record):
    """A user's report of a template; open until an administrator closes it."""

    __tablename__ = "template_reports"
    __table_args__ = (
        UniqueConstraint("user_id", "template_id", name="uq_template_reports_once"),
        CheckConstraint("(closed_at IS NULL) = (outcome IS NULL)", name="closed_with_an_outcome"),
        Index("ix_template_reports_of_template", "template_id"),
        Index(
            "ix_template_reports_open",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index("ix_template_reports_newest", text("created_at DESC"), text("id DESC")),
    )

    template_id: Mapped[UUID] = mapped_column(ForeignKey("templates.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))  # who reports it
    reason: Mapped[str] = mapped_column(String(500))
    closed_at: Mapped[UtcTime | None]
    outcome: Mapped[ReportOutcome | None] = mapped_column(enum_column(ReportOutcome, "outcome_known"))

    template: Mapped[Template] = relationship(viewonly=True)

    @property
    def status(self) -> ReportStatus:
        """Open until the report has an outcome."""
        return ReportStatus.OPEN if self.closed_at is None else ReportStatus.CLOSED
