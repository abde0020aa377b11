"""The broom takes what has served its time, a little at once, and nothing else."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from models.api_call import ApiCall
from models.db import session_scope
from models.idempotency import IdempotencyKey
from models.password_reset import PasswordReset
from models.services import sessions
from models.services.pruning import Pruned, prune
from models.user_session import UserSession
from tests import factories


def repeatable(session: Session, *, hours: float) -> None:
    """The first answer to a request that was made so long ago."""
    user = factories.user(session, credits=0)
    made = datetime.now(UTC) - timedelta(hours=hours)
    session.add(IdempotencyKey(user_id=user.id, key="k", fingerprint="f", status=200, created_at=made))
    session.flush()


def expired(session: Session, *, hours: float) -> None:
    """A session whose last token expired so long ago."""
    user = factories.user(session, credits=0)
    row = sessions.start(session, user, user_agent=None, address=None)
    row.expires_at = datetime.now(UTC) - timedelta(hours=hours)
    session.flush()


def called(session: Session, *, days: int) -> None:
    user = factories.user(session)
    at = datetime.now(UTC) - timedelta(days=days)
    session.add(ApiCall(execution_id=uuid4(), node_id="a", path="", user_id=user.id, at=at))
    session.flush()


def test_takes_what_is_old_and_leaves_what_still_counts(session: Session) -> None:
    for hours in (23.9, 24.1, 500):
        repeatable(session, hours=hours)
    for hours in (-20, 0.5, 1.5):
        expired(session, hours=hours)
    for days in (61, 63):
        called(session, days=days)
    for hours in (23, 25):
        made = datetime.now(UTC) - timedelta(hours=hours)
        session.add(PasswordReset(email="ada@example.com", created_at=made))
    session.flush()
    assert prune(session) == Pruned(idempotency_keys=2, sessions=1, api_calls=1, password_resets=1)
    assert prune(session) == Pruned(idempotency_keys=0, sessions=0, api_calls=0, password_resets=0)
    assert session.scalar(select(func.count()).select_from(IdempotencyKey)) == 1
    assert session.scalar(select(func.count()).select_from(UserSession)) == 2


def test_takes_a_little_at_once_the_oldest_first(session: Session) -> None:
    for hours in (30, 50, 40):
        repeatable(session, hours=hours)
    assert prune(session, limit=2).idempotency_keys == 2
    age = session.scalar(select(func.now() - IdempotencyKey.created_at))
    assert age is not None
    assert age < timedelta(hours=31)


def test_does_not_wait_for_a_row_that_somebody_holds(committed_database: str) -> None:
    with session_scope() as session:
        repeatable(session, hours=30)
        repeatable(session, hours=30)
    with session_scope() as holder:
        held = holder.scalar(select(IdempotencyKey.user_id).limit(1))
        holder.execute(update(IdempotencyKey).where(IdempotencyKey.user_id == held).values(status=201))
        with session_scope() as session:
            session.execute(text("SET LOCAL lock_timeout = '2s'"))
            assert prune(session).idempotency_keys == 1
    with session_scope() as session:
        assert prune(session).idempotency_keys == 1
