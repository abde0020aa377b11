"""Reconciliation by beat, and by hand:

    python -m tasks.reconciliation --since 2026-11-01 --dry-run
    python -m tasks.reconciliation --only events

By hand, findings are printed line by line; the exit status is 1 when something could not be compared. If another run
is under way, the command waits for it, at most `--wait` seconds.
"""

import argparse
import logging
import sys
import threading
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down

import logs
from models.db import connect, session_scope
from models.rules.values.moments import parse_moment
from models.services.reconciliation import open_findings, reconciliation
from models.tables import RunKind, RunStatus
from tasks.bootstrap import settings, stripe_sync
from tasks.queue import TaskName
from workers.reconciliation.runner import AT_ONCE, Reconciler

WAIT_SECONDS = 900.0  # for a run under way; one whose process died counts as over after a minute

_leaving = threading.Event()


@worker_shutting_down.connect(weak=False)
def _leave(**_: Any) -> None:
    """Stop a run at its next object; the next run starts at the same watermark."""
    _leaving.set()


@cache
def reconciler() -> Reconciler:
    """The reconciler of this process, which stops its pauses when the worker shuts down."""
    return Reconciler(stripe_sync(), stopped=_leaving.is_set, sleep=_leaving.wait)


@shared_task(name=TaskName.RECONCILE_EVENTS, send_events=False)
def reconcile_events() -> None:
    """Record the Stripe events that never arrived."""
    reconciler().run_if_due(RunKind.EVENTS)


@shared_task(name=TaskName.RECONCILE_PURCHASES, send_events=False)
def reconcile_purchases() -> None:
    """Compare recent payments with Stripe, hourly."""
    reconciler().run_if_due(RunKind.PURCHASES)


@shared_task(name=TaskName.RECONCILE_OBJECTS, send_events=False)
def reconcile_objects() -> None:
    """Compare all our objects at Stripe with the database, and the ledger with itself, daily."""
    reconciler().run_if_due(RunKind.OBJECTS)


def main(arguments: Sequence[str]) -> int:
    """Run the operators' command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.reconciliation", description="Compare Stripe and the database."
    )
    parser.add_argument("--since", type=parse_moment, help="how far back to compare, such as 2026-11-01 (UTC)")
    parser.add_argument("--dry-run", action="store_true", help="report what would be repaired, and change nothing")
    parser.add_argument("--only", type=RunKind, choices=list(RunKind), help="one part instead of all three")
    parser.add_argument("--wait", type=float, default=WAIT_SECONDS, help="seconds to wait for another run to end")
    args = parser.parse_args(arguments)
    logs.configure(settings.log_format, level=logging.ERROR)  # findings are printed below
    connect(settings.database_url)
    kinds = [args.only] if args.only else list(RunKind)
    status = max([_by_hand(kind, args) for kind in kinds])
    with session_scope() as session:
        still_open = open_findings.list_open(session)
    if still_open:
        _say(f"{len(still_open)} findings need a person, notified now or before: see the alerts of reconciliation.")
    return status


def _by_hand(kind: RunKind, args: Namespace) -> int:
    """Run one kind now and print its findings; events are recorded however young they are."""
    how = {"since": args.since, "dry_run": args.dry_run, "wait_seconds": args.wait}
    waits = f"{kind}: another run is under way; waiting for it, at most {args.wait:.0f} seconds."
    run_id = replace(reconciler(), settling=AT_ONCE).run(kind, **how, on_wait=lambda: _say(waits))
    if run_id is None:
        _say(f"{kind}: another run is still under way. See GET /admin/reconciliations, and try again later.")
        return 1
    with session_scope() as session:
        run, findings = reconciliation.run(session, run_id), reconciliation.findings(session, run_id)
    for found in findings:
        _say(f"{kind}: {found.check} {found.subject} {found.problem} ({found.action}): {found.detail}")
    verb = "would be repaired" if args.dry_run else "repaired"
    _say(
        f"{kind}: {run.status} since {run.since:%Y-%m-%d %H:%M} UTC: {run.checked} compared, {run.repaired} {verb}, "
        f"{run.reported} for a person, {run.failed} failed.{f' {run.error}' if run.error else ''} Run {run.id}."
    )
    return 0 if run.status is RunStatus.DONE and not run.failed else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()  # lines appear at once even if the output is a pipe


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
