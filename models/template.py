"""The gallery of workflows to start from."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Changing, JsonB, Record, ShortText
from models.user import User


class Template(Changing, Record):
    """A graph that anybody may copy into a workflow of their own once it is published."""

    __tablename__ = "templates"
    __table_args__ = (
        Index("ix_templates_gallery", text("created_at DESC"), text("id DESC"), postgresql_where=text("published")),
        Index("ix_templates_owned", "owner_id", postgresql_where=text("owner_id IS NOT NULL")),
    )

    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[ShortText]
    description: Mapped[str] = mapped_column(Text, default="", server_default="")
    category: Mapped[str] = mapped_column(String(40))
    graph: Mapped[JsonB]
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))  # nobody: it came with the service
    published: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    uses: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # workflows that others made from it

    owner: Mapped[User | None] = relationship(viewonly=True)
