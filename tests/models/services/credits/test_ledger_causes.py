"""Every credit has a cause outside of the ledger, and every cause its credit."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from models.services.accounts import administration
from models.services.accounts.addresses import confirm
from models.services.credits import ledger, ledger_causes
from models.services.workflows import usage
from tests.support import factories

MODELS = Path(ledger_causes.__file__).parent.parent


@pytest.fixture
def user(session):
    return factories.user(session, credits=0, email_verified_at=None)


def broken(session) -> set[str]:
    return {violation.invariant for violation in ledger_causes.violations(session)}


def adjust(session, user, amount: int):
    admin = factories.user(session, credits=0)
    return administration.adjust(
        session, admin, user.id, amount=Decimal(amount), reason="Sorry", address=None, key=None
    )


def test_what_the_services_move_has_its_cause(session, user):
    confirm(session, user, welcome_credits=lambda _: Decimal(10))
    adjust(session, user, 50)
    adjust(session, user, -5)
    for amount in ("1", "0.333", "2.5"):
        usage.track(session, user, resource_type="api_call_openai", amount=Decimal(amount))
    assert ledger_causes.violations(session) == []


@pytest.mark.parametrize(
    ("key", "source", "invariant"),
    [
        ("gift:1", "gift", "source_is_known"),
        ("pi_x", "purchase", "source_is_known"),
        ("adjust:1", "adjustment", "adjustment_is_in_the_audit_log"),
        ("welcome:second", "welcome", "welcome_is_given_once_to_a_verified_user"),
        ("usage:1", "usage", "source_is_known"),  # usage gives nothing
    ],
)
def test_a_credit_without_a_cause_is_found(session, user, key, source, invariant):
    confirm(session, user, welcome_credits=lambda _: Decimal(10))
    ledger.grant(session, user.id, Decimal(5), key=key, reason="x", source=source)
    assert invariant in broken(session)


def test_welcome_credits_of_an_unverified_address_are_found(session, user):
    ledger.grant(session, user.id, Decimal(5), key=f"welcome:{user.id}", reason="x", source="welcome")
    assert broken(session) == {"welcome_is_given_once_to_a_verified_user"}


def test_a_debit_for_usage_of_another_price_is_found(session, user):
    ledger.claw_back(session, user.id, Decimal(5), key="usage:1", reason="Usage: 1 x api_call_openai", source="usage")
    assert broken(session) == {"usage_costs_what_its_reason_says"}


def test_an_adjustment_over_another_amount_than_the_log_says_is_found(session, user):
    moved = adjust(session, user, 50)
    changed = text("UPDATE audit_log SET data = jsonb_set(data, '{amount}', '\"5\"') WHERE subject_id = :user")
    session.execute(text("SET LOCAL session_replication_role = replica"))
    session.execute(changed, {"user": user.id})
    assert [(one.invariant, one.subject) for one in ledger_causes.violations(session)] == [
        ("adjustment_is_in_the_audit_log", moved.id)
    ]


def test_an_adjustment_in_the_log_that_never_moved_credits_is_found(session, user):
    moved = adjust(session, user, 50)
    session.execute(text("SET LOCAL session_replication_role = replica"))
    session.execute(text("DELETE FROM credit_transactions WHERE id = :id"), {"id": moved.id})
    assert broken(session) == {"audited_adjustment_was_made"}


def test_every_source_in_the_code_has_an_entry_and_every_entry_a_check():
    code = "\n".join(path.read_text() for path in MODELS.rglob("*.py"))
    named = set(re.findall(r"\bsource=\"(\w+)\"|^SOURCE = \"(\w+)\"|'Workflow run', '(\w+)'", code, re.MULTILINE))
    sources = {name for found in named for name in found if name} | {"refund", "dispute"}  # by the kind of reversal
    assert sources == ledger_causes.SOURCES.keys()
    assert all(source.checks or source.queries for source in ledger_causes.SOURCES.values())


def test_the_checks_of_the_database_are_all_there(session):
    code = session.scalar(text("SELECT string_agg(prosrc, ' ') FROM pg_proc WHERE proname LIKE 'ledger_violations%'"))
    named = {check for source in ledger_causes.SOURCES.values() for check in source.checks}
    assert {check for check in named if f"'{check}'" not in code} == set()
