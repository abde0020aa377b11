"""A row of work is claimed once, and enqueued by one of several sweeps."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from models.db import session_scope
from models.services.rows import inbox
from models.tables import PasswordReset


@pytest.fixture
def rows(committed_database: str) -> list[UUID]:
    """Three rows of work, the oldest first, each committed by itself."""
    found = []
    for number in range(3):
        with session_scope() as session:
            row = PasswordReset(email=f"{number}@example.com")
            session.add(row)
            session.flush()
            found.append(row.id)
    return found


def claimed(session: Session, row_id: UUID) -> PasswordReset | None:
    return inbox.claim(session, PasswordReset, PasswordReset.id == row_id, PasswordReset.address.is_(None))


def taken(session: Session, limit: int = 10) -> Sequence[UUID]:
    is_new = PasswordReset.address.is_(None)
    return inbox.take_due(
        session, PasswordReset.id, is_new, oldest=PasswordReset.created_at, limit=limit, address="192.0.2.1"
    )


class TestClaiming:
    def test_returns_the_row_once_at_a_time(self, rows):
        with session_scope() as first, session_scope() as second:
            assert claimed(first, rows[0]).email == "0@example.com"
            assert claimed(second, rows[0]) is None
            assert claimed(second, rows[1]).email == "1@example.com"
        with session_scope() as third:
            assert claimed(third, rows[0]) is not None

    def test_returns_nothing_of_a_row_that_is_not_due(self, rows):
        with session_scope() as session:
            session.get_one(PasswordReset, rows[0]).address = "192.0.2.1"
            session.flush()
            assert claimed(session, rows[0]) is None


class TestTakingWhatIsDue:
    def test_returns_the_oldest_rows_and_each_once(self, rows):
        with session_scope() as session:
            assert set(taken(session, limit=2)) == set(rows[:2])
            assert taken(session) == [rows[2]]
            assert taken(session) == []

    def test_leaves_rows_that_another_sweep_takes_at_the_same_time(self, rows):
        with session_scope() as first, session_scope() as second:
            assert taken(first, limit=1) == [rows[0]]
            assert set(taken(second)) == set(rows[1:])
