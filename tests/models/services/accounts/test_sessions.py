"""Concurrent refreshes of one session."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.db import session_scope
from models.services.accounts import sessions
from models.tables import UserSession
from tests.support import factories


def wait_for_a_waiter(session: Session) -> None:
    """Wait until a transaction waits for a lock."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    until = time.monotonic() + 10
    while not session.scalar(waiting):
        assert time.monotonic() < until
        session.execute(text("SELECT pg_stat_clear_snapshot()"))
        time.sleep(0.01)


def test_a_refresh_waits_for_another_and_goes_on_from_where_it_ended(committed_database: str) -> None:
    with session_scope() as session:
        user = factories.user(session)
        begun = sessions.start(session, user, user_agent=None, address=None).id

    def refresh() -> int:
        with session_scope() as session:
            return sessions.refresh(session, begun, 0, longest=timedelta(days=1))

    with ThreadPoolExecutor(1) as pool:
        with session_scope() as session:
            assert sessions.refresh(session, begun, 0, longest=timedelta(days=1)) == 1
            assert sessions.refresh(session, begun, 1, longest=timedelta(days=1)) == 2
            late = pool.submit(refresh)
            wait_for_a_waiter(session)
        assert late.result(10) == 2
    with session_scope() as session:
        assert session.scalar(select(UserSession.generation)) == 2
