"""Checks without Stripe: the ledger against its invariants, and users' tiers against their subscriptions."""

from sqlalchemy import text

from models.db import session_scope
from models.services.credits import ledger, ledger_causes
from models.services.reconciliation import tiers
from models.services.reconciliation.reconciliation import Found
from models.services.reconciliation.tiers import WrongTier
from models.tables import Action
from workers.reconciliation.findings_log import FindingsLog

LEDGER_MINUTES = 10


def compare_ledger(journal: FindingsLog) -> None:
    """Report every violated invariant of the ledger; only an operator can repair one."""
    with session_scope() as session:
        session.execute(text(f"SET LOCAL statement_timeout = '{LEDGER_MINUTES}min'"))  # it reads all of it
        broken = ledger.violations(session) + ledger_causes.violations(session)
    journal.checked += 1
    for one in broken:
        journal.report(Found("ledger", str(one.subject), one.invariant, Action.REPORTED, one.detail))
    journal.compared("ledger")


def compare_tiers(journal: FindingsLog) -> None:
    """Raise users to the tier that their subscription grants; report a higher one, which may be intended."""
    with session_scope() as session:
        wrong = tiers.list_wrong(session)
    journal.checked += 1
    for one in wrong:
        if one.is_unpaid:
            detail = f"The user has the tier {one.tier}, and subscriptions grant {one.granted}."
            journal.report(Found("tiers", str(one.user_id), "tier_without_subscription", Action.REPORTED, detail))
        else:
            _raise(journal, one)
    journal.compared("tiers")


def _raise(journal: FindingsLog, wrong: WrongTier) -> None:
    changes = {"users_tier": [wrong.tier.value, wrong.granted.value]}
    detail = f"Changed: users_tier {wrong.tier} -> {wrong.granted}."
    found = Found("tiers", str(wrong.user_id), "different", journal.repaired, detail, changes)
    with session_scope() as session:
        if not journal.dry_run and not tiers.raise_to_granted(session, wrong):
            return
        journal.add(session, found)
    journal.note(found)
