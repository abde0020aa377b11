"""Templates of workflows; the published ones are the gallery."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import JsonB, Record, ShortText, UpdatedAtMixin, UtcTime
from models.tables.accounts.user import User


class Template(UpdatedAtMixin, Record):
    """A graph from which its owner, and every user once it is published, can create workflows."""

    __tablename__ = "templates"
    __table_args__ = (
        CheckConstraint("estimated_minutes > 0", name="estimated_minutes_positive"),
        CheckConstraint("unpublished_at IS NULL OR NOT published", name="not_published_again"),
        Index("ix_templates_gallery", text("created_at DESC"), text("id DESC"), postgresql_where=text("published")),
        Index("ix_templates_deleted", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),  # for pruning
        Index("ix_templates_owned", "owner_id", postgresql_where=text("owner_id IS NOT NULL")),
    )

    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[ShortText]
    description: Mapped[str] = mapped_column(Text, default="", server_default="")
    category: Mapped[str] = mapped_column(String(40))
    estimated_minutes: Mapped[int | None] = mapped_column(SmallInteger)  # the author's estimate for a run
    graph: Mapped[JsonB]
    # Why it cannot run, like the `lint_errors` of a workflow version; a published template has none.
    problems: Mapped[JsonB] = mapped_column(default=list, server_default=text("'[]'"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))  # None for templates of the service
    published: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    unpublished_at: Mapped[UtcTime | None]  # when an administrator removed it from the gallery permanently
    deleted_at: Mapped[UtcTime | None]  # by its owner, who can restore it for a while
    uses: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # workflows that other users created from it

    owner: Mapped[User | None] = relationship(viewonly=True)
