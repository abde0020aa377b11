"""Reconciliation by beat, and by hand:

    python -m tasks.reconcile --since 2026-11-01 --dry-run
    python -m tasks.reconcile --only events

By hand, what is found is printed line by line; the status is 1 when something could not be compared.
"""

import argparse
import logging
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from celery.signals import worker_shutting_down

import logs
from celery_config import app, settings
from models.db import connect, session_scope
from models.reconciliation import RunKind, RunStatus
from models.services import reconciliation
from tasks.lifecycle import follower
from tasks.queue import TaskName
from workers.reconciliation.runner import Reconciler

_leaving = threading.Event()


@worker_shutting_down.connect(weak=False)
def _leave(**_: Any) -> None:
    """A run ends at its next object; the next one looks at the same time again."""
    _leaving.set()


@cache
def reconciler() -> Reconciler:
    """This process's, which pauses no longer than the worker may live."""
    return Reconciler(follower(), stopped=_leaving.is_set, sleep=_leaving.wait)


@app.task(name=TaskName.RECONCILE_EVENTS)
def reconcile_events() -> None:
    """Take in the events that never arrived."""
    reconciler().run_if_due(RunKind.EVENTS)


@app.task(name=TaskName.RECONCILE_PURCHASES)
def reconcile_purchases() -> None:
    """Compare recent payments, hourly."""
    reconciler().run_if_due(RunKind.PURCHASES)


@app.task(name=TaskName.RECONCILE_OBJECTS)
def reconcile_objects() -> None:
    """Compare all that Stripe has of ours, and the ledger with itself, daily."""
    reconciler().run_if_due(RunKind.OBJECTS)


def main(arguments: Sequence[str]) -> int:
    """The operators' command; answers the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tasks.reconcile", description="Compare Stripe and the database.")
    parser.add_argument("--since", type=_moment, help="how far back to look, such as 2026-11-01 (UTC)")
    parser.add_argument("--dry-run", action="store_true", help="report what would be repaired, and change nothing")
    parser.add_argument("--only", type=RunKind, choices=list(RunKind), help="one part instead of all three")
    args = parser.parse_args(arguments)
    logs.configure(settings.log_format, level=logging.ERROR)  # what is found is printed below
    connect(settings.database_url)
    kinds = [args.only] if args.only else list(RunKind)
    return max([_by_hand(kind, args.since, dry_run=args.dry_run) for kind in kinds])


def _by_hand(kind: RunKind, since: datetime | None, *, dry_run: bool) -> int:
    """Run one kind now and print what it found."""
    run_id = reconciler().run(kind, since=since, dry_run=dry_run)
    if run_id is None:
        _say(f"{kind}: another run is under way.")
        return 1
    with session_scope() as session:
        run, findings = reconciliation.run(session, run_id), reconciliation.findings(session, run_id)
    for found in findings:
        _say(f"{kind}: {found.check} {found.subject} {found.problem} ({found.action}): {found.detail}")
    mended = "would be repaired" if dry_run else "repaired"
    _say(
        f"{kind}: {run.status} since {run.since:%Y-%m-%d %H:%M} UTC: {run.checked} compared, {run.repaired} {mended}, "
        f"{run.reported} for a person, {run.failed} failed.{f' {run.error}' if run.error else ''} Run {run.id}."
    )
    return 0 if run.status is RunStatus.DONE and not run.failed else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
