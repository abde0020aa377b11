"""Compare one object: first as it was listed, and only if that differs again, read anew under its lock.

Syncing an object is idempotent, so the comparison syncs it and checks which rows changed; the first comparison and a
dry run roll that back.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy.orm import Session

from models.db import SessionFactory
from models.errors import NotYet
from models.rules.stripe.billing import PURCHASE, Subject
from models.services.reconciliation import stripe_snapshots
from models.services.reconciliation.reconciliation import Found
from models.services.reconciliation.stripe_agreement import disagreements
from models.services.stripe import payments, stripe_events
from models.tables import Action
from workers.gateways.base import CallFailed
from workers.gateways.stripe.errors import StripeRefused
from workers.reconciliation.findings_log import FindingsLog, difference
from workers.stripe.sync import StripeSync

log = structlog.get_logger(__name__)

StripeObject = Mapping[str, Any]
MAX_FAILURES = 10  # temporary failures in a row, after which Stripe or the database counts as unavailable


class StripeUnavailable(Exception):
    """Stripe or the database is unavailable; str() says why."""


class Comparer:
    """Compares objects one by one; a failure with one of them is recorded and does not stop the rest."""

    def __init__(self, stripe_sync: StripeSync, journal: FindingsLog) -> None:
        self._sync = stripe_sync
        self.journal = journal
        self._in_a_row = 0
        self.unclear = 0  # objects that failed temporarily; another run may compare them

    def listed(self, check: str, subject: Subject, found: StripeObject) -> None:
        """Compare an object that Stripe listed; raises `StripeUnavailable`."""
        with self._guarded(check, found["id"]):
            current = self._mend(check, subject, found["id"]) if self._differs(subject, found) else found
            self._compare_final(check, subject, current)

    def held(self, check: str, subject: Subject, stripe_id: str) -> None:
        """Compare an object of ours that Stripe did not list; raises `StripeUnavailable`."""
        with self._guarded(check, stripe_id):
            self._compare_final(check, subject, self._mend(check, subject, stripe_id))

    @contextmanager
    def _guarded(self, check: str, subject: str) -> Iterator[None]:
        self.journal.checked += 1
        try:
            yield
        except StripeRefused as refusal:
            self._in_a_row = 0
            problem = "unknown_to_stripe" if refusal.missing else "refused"
            detail = "Stripe does not have this object." if refusal.missing else refusal.detail
            action = Action.REPORTED if refusal.missing else Action.FAILED
            self.journal.report(Found(check, subject, problem, action, detail))
            self.journal.compared(check, subject)
        except NotYet as orphan:
            self._in_a_row = 0
            self.journal.report(Found(check, subject, "orphan", Action.REPORTED, orphan.detail))
            self.journal.compared(check, subject)
        except Exception as error:  # any failure of one object must not stop the rest
            self._failed(check, subject, error)
        else:
            self._in_a_row = 0
            self.journal.compared(check, subject)

    def _failed(self, check: str, subject: str, error: Exception) -> None:
        log.warning("reconciliation.failed", check=check, subject=subject, exc_info=error)
        passing = isinstance(error, CallFailed) and error.retryable
        detail = error.detail if isinstance(error, CallFailed) else f"{type(error).__name__} while it was compared."
        found = Found(check, subject, "not_compared", Action.FAILED, detail)
        (self.journal.write if passing else self.journal.report)(found)
        self.unclear += passing
        self._in_a_row = self._in_a_row + 1 if passing else 0
        if self._in_a_row >= MAX_FAILURES:
            raise StripeUnavailable(detail)

    def _differs(self, subject: Subject, found: StripeObject) -> bool:
        """Whether syncing the object as it was listed would change our rows; rolled back."""
        with SessionFactory() as session:
            before = stripe_snapshots.snapshot(session, subject, found["id"])
            try:
                self._sync.apply(session, subject, found)
            except NotYet:
                return True
            return bool(difference(before, stripe_snapshots.snapshot(session, subject, found["id"])))

    def _compare_final(self, check: str, subject: Subject, found: StripeObject) -> None:
        """Report disagreements between the object and our rows that syncing does not change."""
        with SessionFactory() as session:
            wrong = disagreements(session, subject, found)
        for one in wrong:
            self.journal.report(Found(check, found["id"], one.problem, Action.REPORTED, one.detail))

    def _mend(self, check: str, subject: Subject, stripe_id: str) -> StripeObject:
        """Sync the object under its lock and store the changes as a finding in the same transaction."""
        with SessionFactory() as session:
            stripe_events.lock(session, stripe_id)
            before = stripe_snapshots.snapshot(session, subject, stripe_id)
            adopted, current = self._apply(session, subject, stripe_id)
            changes = difference(before, stripe_snapshots.snapshot(session, subject, stripe_id))
            found = _found(check, stripe_id, before, changes, self.journal.repaired, adopted=adopted)
            if self.journal.dry_run:
                session.rollback()
            if found is not None:
                self.journal.add(session, found)
            session.commit()
        if found is not None:
            self.journal.note(found)
        return current

    def _apply(self, session: Session, subject: Subject, stripe_id: str) -> tuple[bool | None, StripeObject]:
        """Sync it; True when its purchase had to be restored, None when that was impossible."""
        fetched = self._sync.read(subject, stripe_id)
        try:
            with session.begin_nested():
                self._sync.apply(session, subject, fetched)
            return False, fetched
        except NotYet:
            if subject is not Subject.PAYMENT or PURCHASE not in (fetched.get("metadata") or {}):
                raise
        if payments.restore_purchase(session, fetched) is None:
            return None, fetched
        self._sync.apply(session, subject, fetched)
        return True, fetched


def _found(
    check: str,
    stripe_id: str,
    before: StripeObject,
    changes: dict[str, list[Any]],
    repaired: Action,
    *,
    adopted: bool | None,
) -> Found | None:
    if adopted is None:
        detail = "The purchase that it paid for is missing here and cannot be restored."
        return Found(check, stripe_id, "orphan", Action.REPORTED, detail)
    if not changes:
        return None
    if "alerts" in changes and changes.keys() <= {"alerts", "open_alerts", "refunded_cents"}:
        # no money moved, and an alert tells the operator
        return Found(check, stripe_id, "alert", Action.REPORTED, "An alert describes the problem.", changes)
    problem = "lost_here" if adopted else "different" if before else "missing_here"
    detail = "Changed: " + ", ".join(f"{name} {old} -> {new}" for name, (old, new) in changes.items()) + "."
    return Found(check, stripe_id, problem, repaired, detail, changes)
