"""Business analytics for administrators, computed periodically, because they add up many rows."""

from datetime import date

from sqlalchemy import CheckConstraint, true
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, JsonB, UtcTime


class DailyFigures(Base):
    """The totals of a day in UTC. They can be computed again at any time, except for rows pruned meanwhile."""

    __tablename__ = "daily_figures"

    day: Mapped[date] = mapped_column(primary_key=True)
    figures: Mapped[JsonB]
    computed_at: Mapped[UtcTime]


class BusinessTotals(Base):
    """The totals of users and subscriptions when they were last counted, in a single row."""

    __tablename__ = "business_totals"
    __table_args__ = (CheckConstraint("one", name="one_row"),)

    one: Mapped[bool] = mapped_column(primary_key=True, default=True, server_default=true())
    figures: Mapped[JsonB]
    counted_at: Mapped[UtcTime]
