"""What a day came to, for administrators: added up once when the day is over, because its rows are many."""

from datetime import date

from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, JsonB, UtcTime


class DailyFigures(Base):
    """One day in UTC. It can be added up again at any time; only what was pruned meanwhile would be missing."""

    __tablename__ = "daily_figures"

    day: Mapped[date] = mapped_column(primary_key=True)
    figures: Mapped[JsonB]
    computed_at: Mapped[UtcTime]
