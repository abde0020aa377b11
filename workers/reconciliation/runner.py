"""One run of reconciliation from its lock to its last count; safe to start at any time, beside webhooks and itself."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from models.db import SessionFactory, session_scope
from models.reconciliation import Action, ReconciliationRun, RunKind
from models.rules.billing import EVENTS
from models.services import credits, mirrors, reconciliation
from models.services.reconciliation import Found
from workers.billing.subjects import Follower
from workers.gateways.stripe_errors import StripeFailed
from workers.reconciliation.checks import OBJECTS, PAYMENTS, Check
from workers.reconciliation.comparing import Away, Comparer
from workers.reconciliation.events import compare_events
from workers.reconciliation.journal import Journal

log = structlog.get_logger(__name__)

EVERY = {
    RunKind.EVENTS: timedelta(minutes=5),
    RunKind.PURCHASES: timedelta(hours=1),
    RunKind.OBJECTS: timedelta(days=1),
}
# How far behind its watermark a run begins: what was made before it may have changed, or been listed late.
OVERLAP = {
    RunKind.EVENTS: timedelta(hours=1),
    RunKind.PURCHASES: timedelta(days=2),
    RunKind.OBJECTS: timedelta(days=35),
}
FIRST_LOOK = {  # how far back a run looks when there was none before; Stripe keeps events for thirty days
    RunKind.EVENTS: timedelta(days=30),
    RunKind.PURCHASES: timedelta(days=7),
    RunKind.OBJECTS: timedelta(days=90),
}
SLACK = timedelta(seconds=30)  # a bell may come a little early
SETTLING = timedelta(minutes=2)  # younger events may still be on their way
PAUSES = (5.0, 15.0, 60.0, 120.0)  # seconds between the tries of a list that Stripe does not give us now
PRUNE_AFTER = timedelta(days=90)


class Stopped(Exception):
    """The process was told to end."""


@dataclass(frozen=True)
class Reconciler:
    """Compares through `follower`; `stopped` is asked between two objects."""

    follower: Follower
    stopped: Callable[[], bool] = lambda: False
    sleep: Callable[[float], object] = time.sleep
    settling: timedelta = SETTLING
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def run_if_due(self, kind: RunKind) -> UUID | None:
        """Run when the last complete run is long enough ago."""
        with session_scope() as session:
            due = reconciliation.is_due(session, kind, EVERY[kind] - SLACK)
        return self.run(kind) if due else None

    def run(self, kind: RunKind, *, since: datetime | None = None, dry_run: bool = False) -> UUID | None:
        """Compare everything of this kind; the id of the run's row, None when another one is at it.

        Args:
            since: aware; how far back to look. By default some time before the watermark.
            dry_run: find and report, and change nothing.
        """
        with SessionFactory() as lock, reconciliation.alone(lock, kind) as mine:
            if not mine:
                log.info("reconciliation_under_way", kind=kind)
                return None
            started = self.clock()
            with session_scope() as session:
                begin = since or self._begin(session_watermark=reconciliation.watermark(session, kind), kind=kind)
                run = reconciliation.begin(session, kind, since=begin, dry_run=dry_run)
            self._go(run, Journal(run.id, dry_run), started)
        return run.id

    def _begin(self, *, session_watermark: datetime | None, kind: RunKind) -> datetime:
        now = self.clock()
        return session_watermark - OVERLAP[kind] if session_watermark else now - FIRST_LOOK[kind]

    def _go(self, run: ReconciliationRun, journal: Journal, started: datetime) -> None:
        """Do it, and end the run's row whatever happens; only a whole run moves the watermark, and only after all."""
        error: str | None = "It broke off."
        try:
            error = self._compare(run, journal, started)
        except Stopped:
            error = "The worker was told to end."
        except StripeFailed as failure:
            error = f"{failure.code}: {failure.detail}"
        except Away as away:
            error = str(away)
        finally:
            reached = started if error is None and not run.dry_run else None
            with session_scope() as session:
                reconciliation.finish(session, run.id, checked=journal.checked, error=error, reached=reached)
            log.info("reconciled", kind=run.kind, checked=journal.checked, findings=len(journal.found), error=error)

    def _compare(self, run: ReconciliationRun, journal: Journal, started: datetime) -> str | None:
        """What is wrong with the run as a whole, None when it is complete."""
        comparer = Comparer(self.follower, journal)
        match run.kind:
            case RunKind.EVENTS:
                self._events(run, journal, started)
            case RunKind.PURCHASES:
                self._check(PAYMENTS, run, comparer)
            case RunKind.OBJECTS:
                for check in OBJECTS:
                    self._check(check, run, comparer)
                self._ledger(journal)
                with session_scope() as session:
                    reconciliation.prune(session, older_than=PRUNE_AFTER)
        return f"{comparer.unclear} things could not be compared." if comparer.unclear else None

    def _events(self, run: ReconciliationRun, journal: Journal, started: datetime) -> None:
        since = int(run.since.timestamp())
        listed = self._patiently(lambda: self.follower.gateway.events(types=sorted(EVENTS), created=since))
        compare_events(self.follower, journal, listed, started - self.settling)

    def _check(self, check: Check, run: ReconciliationRun, comparer: Comparer) -> None:
        """What Stripe lists, then what we hold beside that."""
        seen: set[str] = set()
        for found in self._patiently(lambda: check.listed(self.follower.gateway, run.since)):
            seen.add(found["id"])
            comparer.listed(check.name, check.subject, found)
        if not check.and_held:
            return
        with session_scope() as session:
            held = mirrors.held_since(session, check.subject, run.since)
        for stripe_id in held:
            if stripe_id not in seen:
                self._stop_if_told()
                comparer.held(check.name, check.subject, stripe_id)

    def _ledger(self, journal: Journal) -> None:
        """Every broken promise of the ledger is a finding; none can be mended without a person."""
        with session_scope() as session:
            broken = credits.violations(session)
        journal.checked += 1
        for one in broken:
            journal.write(Found("ledger", str(one.subject), one.invariant, Action.REPORTED, one.detail))

    def _patiently(self, make: Callable[[], Iterator[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        """A list to its end, each object once, begun again after a pause when Stripe breaks it off."""
        seen: set[str] = set()
        for pause in (*PAUSES, None):
            try:
                for found in make():
                    self._stop_if_told()
                    if found["id"] not in seen:
                        seen.add(found["id"])
                        yield found
                return
            except StripeFailed as failure:
                if pause is None or not failure.retryable:
                    raise
                log.warning("reconciliation_waits", code=failure.code, seconds=pause)
                self.sleep(max(pause, failure.retry_after or 0.0))

    def _stop_if_told(self) -> None:
        if self.stopped():
            raise Stopped
