"""The declarative base of tables, with named constraints, and the types of columns."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import DateTime, Enum, MetaData, Numeric, String, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from models.serialization import Json

Credits = Annotated[Decimal, mapped_column(Numeric(14, 2))]
UtcTime = Annotated[datetime, mapped_column(DateTime(timezone=True))]
JsonB = Annotated[Json, mapped_column(JSONB(none_as_null=True))]
ShortText = Annotated[str, mapped_column(String(200))]

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The base of all tables, whose constraints have names, so that migrations and errors can refer to them."""

    metadata = MetaData(naming_convention=NAMES)


class Record(Base):
    """A row with a UUID and the time of its creation."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4, server_default=func.gen_random_uuid())
    created_at: Mapped[UtcTime] = mapped_column(server_default=func.now())


class UpdatedAtMixin:
    """A row with the time of its last change."""

    # The UPDATE itself returns the new `updated_at`.
    __mapper_args__: ClassVar[dict[str, Any]] = {"eager_defaults": True}

    updated_at: Mapped[UtcTime] = mapped_column(server_default=func.now(), onupdate=func.now())


def enum_column(kind: type[StrEnum], name: str, length: int = 20) -> Enum:
    """The column type of a `StrEnum`: text, restricted to its values by a CHECK constraint called `name`."""
    return Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=length,
        validate_strings=True,
        values_callable=lambda members: [member.value for member in members],
    )
