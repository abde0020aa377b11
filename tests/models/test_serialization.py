"""JSON values of services may contain enums, ids and times, as keys too."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import literal, select, type_coerce
from sqlalchemy.dialects.postgresql import JSONB

from models.rules.prices.pricing import Provider
from models.serialization import to_json

ID = UUID(int=7)


def test_enums_ids_and_times_are_written_wherever_they_stand():
    assert to_json({Provider.OPENAI: Provider.GOOGLE}) == '{"openai":"google"}'
    assert to_json({ID: [ID]}) == f'{{"{ID}":["{ID}"]}}'
    assert to_json({"at": datetime(2026, 1, 1, tzinfo=UTC)}) == '{"at":"2026-01-01T00:00:00+00:00"}'


def test_money_is_not_written_as_something_that_may_be_inexact():
    with pytest.raises(TypeError):
        to_json({"amount": Decimal("1.10")})


def test_json_columns_take_the_same(session):
    stored = session.scalar(select(type_coerce(literal({Provider.OPENAI: {ID: 1}}, JSONB), JSONB)))
    assert stored == {"openai": {str(ID): 1}}
