"""The OpenClaw agents that nodes may name, as last listed by a worker, because the API does not connect to OpenClaw."""

from sqlalchemy import CheckConstraint, true
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, JsonB, UtcTime


class OpenClawAgents(Base):
    """The newest list, in a single row; there is no row before the first listing."""

    __tablename__ = "openclaw_agents"
    __table_args__ = (CheckConstraint("one", name="one_row"),)

    one: Mapped[bool] = mapped_column(primary_key=True, default=True, server_default=true())
    agents: Mapped[JsonB]  # ids
    listed_at: Mapped[UtcTime]
