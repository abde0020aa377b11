"""Looks at one object: first as it was listed, and only where that differs once more, read afresh under its lock.

Following an object is idempotent, so "does it differ?" is answered by following it and looking at what changed; the
first look, and a dry run, take that back.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy.orm import Session

from models.db import SessionFactory
from models.reconciliation import Action
from models.rules.billing import PURCHASE, Subject
from models.services import billing_events, mirrors, payments
from models.services.reconciliation import Found
from models.services.waiting import NotYet
from workers.billing.subjects import Follower
from workers.gateways.base import CallFailed
from workers.gateways.stripe_errors import StripeRefused
from workers.reconciliation.journal import Journal, difference

log = structlog.get_logger(__name__)

Plain = Mapping[str, Any]
MOST_FAILURES = 10  # in a row, each of which time might cure: then Stripe or the database is away


class Away(Exception):
    """Nothing can be compared now; str() says why."""


class Comparer:
    """Compares objects one by one; what goes wrong with one is written down and does not stop the rest."""

    def __init__(self, follower: Follower, journal: Journal) -> None:
        self._follower = follower
        self._journal = journal
        self._in_a_row = 0
        self.unclear = 0  # objects that another run may find readable

    def listed(self, check: str, subject: Subject, found: Plain) -> None:
        """Compare an object that Stripe listed; raises `Away`."""
        with self._guarded(check, found["id"]):
            if self._differs(subject, found):
                self._mend(check, subject, found["id"])

    def held(self, check: str, subject: Subject, stripe_id: str) -> None:
        """Compare an object that we know and Stripe did not list; raises `Away`."""
        with self._guarded(check, stripe_id):
            self._mend(check, subject, stripe_id)

    @contextmanager
    def _guarded(self, check: str, subject: str) -> Iterator[None]:
        self._journal.checked += 1
        try:
            yield
        except StripeRefused as refusal:
            self._in_a_row = 0
            problem = "unknown_to_stripe" if refusal.missing else "refused"
            detail = "Stripe knows nothing of it." if refusal.missing else refusal.detail
            action = Action.REPORTED if refusal.missing else Action.FAILED
            self._journal.write(Found(check, subject, problem, action, detail))
        except NotYet as orphan:
            self._in_a_row = 0
            self._journal.write(Found(check, subject, "orphan", Action.REPORTED, orphan.detail))
        except Exception as error:  # whatever it is, the others have a right to be looked at
            self._failed(check, subject, error)
        else:
            self._in_a_row = 0

    def _failed(self, check: str, subject: str, error: Exception) -> None:
        log.warning("reconciliation_failed", check=check, subject=subject, exc_info=error)
        passing = isinstance(error, CallFailed) and error.retryable
        detail = error.detail if isinstance(error, CallFailed) else f"{type(error).__name__} while it was looked at."
        self._journal.write(Found(check, subject, "not_compared", Action.FAILED, detail))
        self.unclear += passing
        self._in_a_row = self._in_a_row + 1 if passing else 0
        if self._in_a_row >= MOST_FAILURES:
            raise Away(detail)

    def _differs(self, subject: Subject, found: Plain) -> bool:
        """Whether following the object as it was listed would change anything here; nothing is kept."""
        with SessionFactory() as session:
            before = mirrors.held(session, subject, found["id"])
            try:
                self._follower.apply(session, subject, found)
            except NotYet:
                return True
            return bool(difference(before, mirrors.held(session, subject, found["id"])))

    def _mend(self, check: str, subject: Subject, stripe_id: str) -> None:
        """Follow the object as it is now, under its lock, and keep what changed as a finding beside the change."""
        with SessionFactory() as session:
            billing_events.lock(session, stripe_id)
            before = mirrors.held(session, subject, stripe_id)
            adopted = self._follow(session, subject, stripe_id)
            changes = difference(before, mirrors.held(session, subject, stripe_id))
            found = _found(check, stripe_id, before, changes, self._journal.repaired, adopted=adopted)
            if self._journal.dry_run:
                session.rollback()
            if found is not None:
                self._journal.add(session, found)
            session.commit()
        if found is not None:
            self._journal.note(found)

    def _follow(self, session: Session, subject: Subject, stripe_id: str) -> bool | None:
        """Follow it; True when its purchase had to be written down again, None when it could not be."""
        fetched = self._follower.read(subject, stripe_id)
        try:
            with session.begin_nested():
                self._follower.apply(session, subject, fetched)
            return False
        except NotYet:
            if subject is not Subject.PAYMENT or PURCHASE not in (fetched.get("metadata") or {}):
                raise
        if payments.adopt(session, fetched) is None:
            return None
        self._follower.apply(session, subject, fetched)
        return True


def _found(
    check: str,
    stripe_id: str,
    before: Plain,
    changes: dict[str, list[Any]],
    repaired: Action,
    *,
    adopted: bool | None,
) -> Found | None:
    if adopted is None:
        detail = "It was paid for something that is not here, and cannot be written down again."
        return Found(check, stripe_id, "orphan", Action.REPORTED, detail)
    if not changes:
        return None
    problem = "lost_here" if adopted else "different" if before else "missing_here"
    detail = "Changed: " + ", ".join(f"{name} {old} -> {new}" for name, (old, new) in changes.items()) + "."
    return Found(check, stripe_id, problem, repaired, detail, changes)
