"""The business in numbers, for administrators: added up by the sweep, because the rows behind them are many."""

from datetime import date

from sqlalchemy import CheckConstraint, true
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, JsonB, UtcTime


class DailyFigures(Base):
    """One day in UTC. It can be added up again at any time; only what was pruned meanwhile would be missing."""

    __tablename__ = "daily_figures"

    day: Mapped[date] = mapped_column(primary_key=True)
    figures: Mapped[JsonB]
    computed_at: Mapped[UtcTime]


class BusinessStanding(Base):
    """Where users and subscriptions stood when they were last counted: one row."""

    __tablename__ = "business_standing"
    __table_args__ = (CheckConstraint("one", name="one_row"),)

    one: Mapped[bool] = mapped_column(primary_key=True, default=True, server_default=true())
    figures: Mapped[JsonB]
    counted_at: Mapped[UtcTime]
