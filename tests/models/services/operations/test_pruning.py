"""The pruner removes expired rows, a few at a time, and nothing else."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from models.db import session_scope
from models.services.accounts import access_keys, sessions
from models.services.operations.pruning import Pruned, prune
from models.tables import (
    Action,
    ApiCall,
    AuditEntry,
    Channel,
    EventStatus,
    IdempotencyKey,
    Notification,
    NotificationKind,
    NotificationStatus,
    PasswordReset,
    ReconciliationFinding,
    ReconciliationRun,
    RunKind,
    StripeEvent,
    UserSession,
    Worker,
)
from tests.support import factories
from tests.support.factories import billing


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
    assert prune(session) == Pruned()
    assert session.scalar(select(func.count()).select_from(IdempotencyKey)) == 1
    assert session.scalar(select(func.count()).select_from(UserSession)) == 2


def test_keeps_of_stripes_events_what_keeps_them_from_being_handled_twice(session: Session) -> None:
    old, young, dead = (billing.event(session) for _ in range(3))
    for event, days, status in ((old, 91, EventStatus.DONE), (young, 89, EventStatus.IGNORED)):
        at = datetime.now(UTC) - timedelta(days=days)
        session.execute(update(StripeEvent).where(StripeEvent.id == event).values(status=status, handled_at=at))
    long_ago = datetime.now(UTC) - timedelta(days=500)
    values = {"status": EventStatus.DEAD, "error": "No.", "received_at": long_ago}
    session.execute(update(StripeEvent).where(StripeEvent.id == dead).values(**values))
    assert (prune(session), prune(session)) == (Pruned(stripe_events=1), Pruned())
    rows = {row.id: row for row in session.scalars(select(StripeEvent).execution_options(populate_existing=True))}
    assert [bool(rows[event].raw) for event in (old, young, dead)] == [False, True, True]
    assert (rows[old].type, rows[old].status) == ("payment_intent.succeeded", EventStatus.DONE)
    billing.event(session, event_id=old)  # Stripe sends it once more
    session.refresh(rows[old])
    assert rows[old].status is EventStatus.DONE


def test_keeps_the_keys_of_messages_so_that_none_is_sent_twice(session: Session) -> None:
    user = factories.user(session, credits=0)
    for key, days, status in (("old", 31, "sent"), ("young", 29, "sent"), ("waits", 31, "pending")):
        at = datetime.now(UTC) - timedelta(days=days)
        row = Notification(
            user_id=user.id,
            kind=NotificationKind.RUN_FINISHED,
            channel=Channel.EMAIL,
            payload={"workflow": "Mine"},
            key=key,
            status=NotificationStatus(status),
            created_at=at,
            sent_at=at if status == "sent" else None,
        )
        session.add(row)
    session.flush()
    assert (prune(session), prune(session)) == (Pruned(notifications=1), Pruned())
    assert set(session.execute(select(Notification.key, Notification.payload == {}))) == {
        ("old", True),
        ("young", False),
        ("waits", False),
    }


def test_takes_old_findings_and_leaves_the_runs_that_found_them(session: Session) -> None:
    run = ReconciliationRun(kind=RunKind.EVENTS, since=datetime.now(UTC))
    session.add(run)
    session.flush()
    for days in (179, 181):
        at = datetime.now(UTC) - timedelta(days=days)
        values = {"check": "events", "subject": "evt_1", "problem": "missing", "detail": "Was not here."}
        session.add(ReconciliationFinding(run_id=run.id, action=Action.REPAIRED, created_at=at, **values))
    session.flush()
    assert prune(session) == Pruned(findings=1)
    assert session.scalar(select(func.count()).select_from(ReconciliationRun)) == 1


def test_takes_what_the_audit_log_may_let_go_of(session: Session) -> None:
    for days in (364.9, 365.1):
        session.add(AuditEntry(action="auth.login", created_at=datetime.now(UTC) - timedelta(days=days)))
    session.flush()
    assert prune(session) == Pruned(audit_entries=1)


def test_removes_access_keys_and_workers_long_after_they_expired(session: Session) -> None:
    user = factories.user(session, credits=0)
    for days in (None, -5, 89, 91):
        key, _ = access_keys.create(session, user.id, name="Key")
        key.expires_at = None if days is None else datetime.now(UTC) - timedelta(days=days)
    for days in (6, 8):
        at = datetime.now(UTC) - timedelta(days=days)
        session.add(Worker(name=f"w{days}", process="host:1", queues=[], report_interval=5, seen_at=at))
    session.flush()
    assert prune(session) == Pruned(access_keys=1, workers=1)


def test_takes_a_little_at_once_the_oldest_first(session: Session) -> None:
    for hours in (30, 50, 40):
        repeatable(session, hours=hours)
    assert prune(session, limit=2).idempotency_keys == 2
    age = session.scalar(select(func.now() - IdempotencyKey.created_at))
    assert age is not None
    assert age < timedelta(hours=31)


def test_does_not_wait_for_a_locked_row(committed_database: str) -> None:
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
