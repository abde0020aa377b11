"""What the fixtures of the suite promise to the tests."""

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.orm import Session

from models.db import SessionFactory, session_scope

COUNT = text("SELECT count(*) FROM pg_description WHERE description = 'left behind'")
LEAVE = text("COMMENT ON SCHEMA public IS 'left behind'")


@pytest.mark.parametrize("turn", [1, 2])
def test_what_one_test_commits_the_next_does_not_see(session: Session, turn: int) -> None:
    assert session.scalar(COUNT) == 0
    with session_scope() as inner:
        inner.execute(LEAVE)
    assert session.scalar(COUNT) == 1
    session.commit()


def test_a_rollback_undoes_only_its_own_session(session: Session) -> None:
    with session_scope() as inner:
        inner.execute(LEAVE)
    session.rollback()
    assert session.scalar(COUNT) == 1


def test_other_connections_see_what_a_committed_database_holds(committed_database: str) -> None:
    with session_scope() as inner:
        inner.execute(LEAVE)
    connection = psycopg2.connect(committed_database)
    with connection.cursor() as cursor:
        cursor.execute(COUNT.text)
        assert cursor.fetchone() == (1,)
    connection.close()


def test_a_test_without_a_session_has_no_database() -> None:
    with pytest.raises(UnboundExecutionError), SessionFactory() as session:
        session.execute(text("SELECT 1"))
