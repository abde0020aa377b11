"""Checks of Stripe as our rows show it: its events, alerts and reconciliation."""

import time
from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy.orm import Session

from manage.doctor.results import CheckResult, by_age, ok, span, warning, wrong
from models.services.operations import alerts
from models.services.reconciliation import reconciliation
from models.services.stripe import stripe_events, stripe_status
from models.tables import RunKind
from settings import Settings

DAY = timedelta(days=1)
LATE = {
    RunKind.EVENTS: timedelta(minutes=20),
    RunKind.PURCHASES: timedelta(hours=3),
    RunKind.OBJECTS: timedelta(hours=50),
}


def webhook(session: Session, _: Settings) -> Iterator[CheckResult]:
    """Stripe's events arrive by the webhook, and are handled."""
    state = stripe_status.stripe_status(session)
    if state.oldest_event_seconds and state.oldest_event_seconds > stripe_status.BEHIND:
        said = f"An event waits for {span(state.oldest_event_seconds)}."
        yield wrong("webhook", said, "See `agentforge queues depth` and the log of worker-billing.")
    if missed := reconciliation.missed_events(session, within=DAY):
        said = f"{missed} events of the last day did not arrive, and were found by reconciliation."
        yield wrong("webhook", said, "Check the endpoint's address and secret at Stripe against STRIPE_WEBHOOK_SECRET.")
        return
    age = stripe_events.newest_age(session)
    yield ok("webhook", "No event arrived yet." if age is None else f"The newest event was created {span(age)} ago.")


def requests(session: Session, _: Settings) -> Iterator[CheckResult]:
    """Users' requests to Stripe do not fail."""
    state = stripe_status.stripe_status(session)
    if state.failing_requests:
        said = f"{state.failing_requests} requests of users to Stripe fail, for {span(state.failing_seconds or 0)}."
        yield wrong(
            "stripe requests", said, "They are repeated; see Stripe's status page and the log of worker-billing."
        )
    else:
        yield ok("stripe requests", "None fails.")


def open_alerts(session: Session, _: Settings) -> Iterator[CheckResult]:
    """No alert waits for a person."""
    if number := alerts.count_open(session):
        yield wrong("alerts", f"{number} alerts about money are open.", "`agentforge alerts list` says what they are.")
    else:
        yield ok("alerts", "None is open.")


def reconciliations(session: Session, _: Settings) -> Iterator[CheckResult]:
    """Every comparison with Stripe was completed recently."""
    mend = "Run `agentforge reconcile`; it says what keeps it from comparing."
    for state in reconciliation.status(session):
        if state.last_complete is None:
            yield warning("reconciliation", f"{state.kind} were never compared.", mend)
            continue
        age, late = time.time() - state.last_complete.timestamp(), LATE[state.kind].total_seconds()
        yield by_age("reconciliation", f"{state.kind} were compared", age, late=late, mend=mend)
