"""The audit log takes rows and gives none back."""

from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.services.operations import audit


@pytest.fixture
def entry(session: Session) -> None:
    """One action of another user."""
    audit.record(
        session,
        actor=None,
        action="auth.login_failed",
        subject=uuid4(),
        address="192.0.2.7",
        data={"reason": "r", "n": 1},
    )


def test_records_actor_action_subject_and_address(session: Session) -> None:
    admin, user = uuid4(), uuid4()
    audit.record(
        session, actor=admin, action="credits.adjusted", subject=user, address="2001:db8::1", data={"amount": 5}
    )
    audit.record(session, actor=user, action="auth.login", subject=user)
    told = audit.entries(session, subject=user, action="credits.adjusted")
    assert [(e.actor_id, e.action, e.address, e.data) for e in told] == [
        (admin, "credits.adjusted", "2001:db8::1", {"amount": 5})
    ]
    assert {entry.action for entry in audit.entries(session, subject=user)} == {"credits.adjusted", "auth.login"}
    assert [entry.action for entry in audit.entries(session, actor=admin)] == ["credits.adjusted"]


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit_log SET address = NULL",
        "UPDATE audit_log SET data = NULL",
        """UPDATE audit_log SET data = data || '{"a": 1}'""",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
    ],
)
def test_entries_cannot_be_changed_or_removed(session: Session, entry: None, tampering: str) -> None:
    with pytest.raises(DBAPIError, match="audit_log"), session.begin_nested():
        session.execute(text(tampering))
    assert session.scalar(text("SELECT count(*) FROM audit_log")) == 1


def test_what_is_older_than_a_year_may_go(session: Session, entry: None) -> None:
    session.execute(
        text("INSERT INTO audit_log (action, created_at) VALUES ('auth.login', now() - interval '366 days')")
    )
    session.execute(text("DELETE FROM audit_log WHERE created_at < now() - interval '365 days'"))
    assert [entry.action for entry in audit.entries(session)] == ["auth.login_failed"]


def test_loses_names_and_reasons_when_they_are_taken_out(session: Session, entry: None) -> None:
    session.execute(text("UPDATE audit_log SET data = data - ARRAY['name', 'reason']"))
    assert [entry.data for entry in audit.entries(session)] == [{"n": 1}]
