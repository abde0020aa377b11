"""One run of reconciliation, from its lease to its counts; safe to start at any time, also while another one runs."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from models.db import session_scope
from models.rules.stripe.billing import EVENTS
from models.rules.values.rotation import Day, days_in_rotation
from models.services.reconciliation import open_findings, reconciliation, stripe_snapshots
from models.tables import ReconciliationRun, RunKind
from workers.exclusive import exclusive
from workers.gateways.stripe.errors import StripeFailed
from workers.reconciliation.checks import OBJECTS, PAYMENTS, SAMPLED, Check
from workers.reconciliation.comparing import Comparer, StripeUnavailable
from workers.reconciliation.events import compare_events
from workers.reconciliation.findings_log import FindingsLog
from workers.reconciliation.internal import compare_ledger, compare_tiers
from workers.stripe.sync import StripeSync

log = structlog.get_logger(__name__)

EVERY = {
    RunKind.EVENTS: timedelta(minutes=5),
    RunKind.PURCHASES: timedelta(hours=1),
    RunKind.OBJECTS: timedelta(days=1),
}
# How far before its watermark a run begins: older objects may have changed, or been listed late.
OVERLAP = {
    RunKind.EVENTS: timedelta(hours=1),
    RunKind.PURCHASES: timedelta(days=2),
    RunKind.OBJECTS: timedelta(days=35),
}
FIRST_LOOKBACK = {  # how far back the first run begins; Stripe keeps events for thirty days
    RunKind.EVENTS: timedelta(days=30),
    RunKind.PURCHASES: timedelta(days=7),
    RunKind.OBJECTS: timedelta(days=90),
}
SLACK = timedelta(seconds=30)  # a message may come a little early
SETTLING = timedelta(minutes=2)  # younger events may still be in delivery
AT_ONCE = -timedelta(hours=1)  # for `settling`: events of any age, whatever Stripe's clock says
PAUSES = (5.0, 15.0, 60.0, 120.0)  # seconds between the tries of a list that fails temporarily
PRUNE_AFTER = timedelta(days=90)


class ReconciliationStopped(Exception):
    """The process is shutting down, or the lease may have passed to another process."""


@dataclass(frozen=True)
class Reconciler:
    """Compares Stripe's objects with our rows; checks `stopped` between two objects."""

    sync: StripeSync
    stopped: Callable[[], bool] = lambda: False
    sleep: Callable[[float], object] = time.sleep
    settling: timedelta = SETTLING
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def run_if_due(self, kind: RunKind) -> UUID | None:
        """Run if the last complete run is long enough ago; return the id of the run's row, else None."""
        with session_scope() as session:
            due = reconciliation.is_due(session, kind, EVERY[kind] - SLACK)
        return self.run(kind) if due else None

    def run(
        self,
        kind: RunKind,
        *,
        since: datetime | None = None,
        dry_run: bool = False,
        wait_seconds: float = 0.0,
        on_wait: Callable[[], object] = lambda: None,
    ) -> UUID | None:
        """Compare everything of this kind; return the id of the run's row, None while another run goes on.

        Args:
            since: timezone-aware; where to begin. By default some time before the watermark.
            dry_run: only report, without changes.
            wait_seconds: how long to wait for another run to end.
            on_wait: called when waiting begins.
        """
        with exclusive(f"reconciliation:{kind}", wait_seconds=wait_seconds, on_wait=on_wait) as lease:
            if lease is None:
                log.info("reconciliation.already_running", kind=kind)
                return None
            started = self.clock()
            with session_scope() as session:
                begin = since or self._begin(session_watermark=reconciliation.watermark(session, kind), kind=kind)
                run = reconciliation.begin(session, kind, since=begin, dry_run=dry_run)
            leased = replace(self, stopped=lambda: lease.is_lost or self.stopped())
            with session_scope() as session:
                notified = {one.key: one for one in open_findings.list_open(session)}
            leased._go(run, FindingsLog(run.id, dry_run, notified=notified), started)
        return run.id

    def _begin(self, *, session_watermark: datetime | None, kind: RunKind) -> datetime:
        now = self.clock()
        return session_watermark - OVERLAP[kind] if session_watermark else now - FIRST_LOOKBACK[kind]

    def _go(self, run: ReconciliationRun, journal: FindingsLog, started: datetime) -> None:
        """Run the comparison and finish the run's row in any case; only a complete run moves the watermark."""
        error: str | None = "It ended unexpectedly."
        try:
            error = self._compare(run, journal, started)
        except ReconciliationStopped:
            error = "The worker was stopped, or its lease expired."
        except StripeFailed as failure:
            error = f"{failure.code}: {failure.detail}"
        except StripeUnavailable as away:
            error = str(away)
        finally:
            reached = started if error is None and not run.dry_run else None
            with session_scope() as session:
                reconciliation.finish(session, run.id, checked=journal.checked, error=error, reached=reached)
            log.info(
                "reconciliation.finished",
                kind=run.kind,
                checked=journal.checked,
                findings=len(journal.found),
                error=error,
            )

    def _compare(self, run: ReconciliationRun, journal: FindingsLog, started: datetime) -> str | None:
        """Run the checks of this kind; return why the run is incomplete, None when it is complete."""
        comparer = Comparer(self.sync, journal)
        match run.kind:
            case RunKind.EVENTS:
                self._events(run, journal, started)
            case RunKind.PURCHASES:
                self._check(PAYMENTS, run, comparer)
            case RunKind.OBJECTS:
                for check in OBJECTS:
                    self._check(check, run, comparer)
                self._sample(run, comparer)
                compare_tiers(journal)
                compare_ledger(journal)
                with session_scope() as session:
                    reconciliation.prune(session, older_than=PRUNE_AFTER)
        return f"{comparer.unclear} objects could not be compared." if comparer.unclear else None

    def _events(self, run: ReconciliationRun, journal: FindingsLog, started: datetime) -> None:
        since = int(run.since.timestamp())
        listed = self._with_retries(lambda: self.sync.gateway.events(types=sorted(EVENTS), created=since))
        compare_events(self.sync, journal, listed, started - self.settling)

    def _check(self, check: Check, run: ReconciliationRun, comparer: Comparer) -> None:
        """Compare the objects that Stripe lists, then ours that it did not list."""
        seen = self._listed(check, lambda: check.listed(self.sync.gateway, run.since), comparer)
        with session_scope() as session:
            held = stripe_snapshots.snapshots_since(session, check.subject, run.since) if check.and_held else []
        notified = [one.subject for one in comparer.journal.notified.values() if one.check == check.name]
        self._named(check, dict.fromkeys([*held, *notified]), seen, comparer)

    def _sample(self, run: ReconciliationRun, comparer: Comparer) -> None:
        """Compare older objects, some days in each run: all that Stripe created on a day and all that we hold of it."""
        with session_scope() as session:
            oldest, last = stripe_snapshots.oldest(session), reconciliation.watermark(session, run.kind)
        now = self.clock()
        for day in days_in_rotation(oldest or now, run.since, last=last, now=now):
            for check in SAMPLED:
                self._sample_day(check, day, comparer)

    def _sample_day(self, check: Check, day: Day, comparer: Comparer) -> None:
        seen = self._listed(check, lambda: check.listed_within(self.sync.gateway, day), comparer)
        with session_scope() as session:
            held = stripe_snapshots.snapshots_within(session, check.subject, day.begin, day.end)
        self._named(check, held, seen, comparer)

    def _listed(self, check: Check, make: Callable[[], Iterator[dict[str, Any]]], comparer: Comparer) -> set[str]:
        """Compare the objects that Stripe lists; return their ids."""
        seen: set[str] = set()
        for found in self._with_retries(make):
            seen.add(found["id"])
            comparer.listed(check.name, check.subject, found)
        return seen

    def _named(self, check: Check, ids: Iterable[str], seen: set[str], comparer: Comparer) -> None:
        """Compare those of `ids` that Stripe did not list, reading each by its id."""
        for stripe_id in ids:
            if stripe_id not in seen:
                self._stop_if_requested()
                comparer.held(check.name, check.subject, stripe_id)

    def _with_retries(self, make: Callable[[], Iterator[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        """Yield a list to its end, each object once; restart it after a pause when Stripe fails temporarily."""
        seen: set[str] = set()
        for pause in (*PAUSES, None):
            try:
                for found in make():
                    self._stop_if_requested()
                    if found["id"] not in seen:
                        seen.add(found["id"])
                        yield found
                return
            except StripeFailed as failure:
                if pause is None or not failure.retryable:
                    raise
                log.warning("reconciliation.waiting", code=failure.code, seconds=pause)
                self.sleep(max(pause, failure.retry_after or 0.0))

    def _stop_if_requested(self) -> None:
        if self.stopped():
            raise ReconciliationStopped
