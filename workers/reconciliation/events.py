"""Compare Stripe's list of events with those received; a missed event is stored and handled like any other."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson

from models.db import session_scope
from models.services.reconciliation import stripe_snapshots
from models.services.reconciliation.reconciliation import Found
from models.services.stripe import stripe_events
from workers.reconciliation.findings_log import FindingsLog
from workers.stripe.events import handle
from workers.stripe.sync import StripeSync

BATCH = 100


def compare_events(
    stripe_sync: StripeSync, journal: FindingsLog, listed: Iterable[dict[str, Any]], before: datetime
) -> None:
    """Receive every listed event older than `before` that never arrived, the oldest of each page first.

    Whether Stripe counts an event as delivered does not matter: we may have acknowledged and lost it.
    """
    for batch in _batches(event for event in listed if event["created"] < before.timestamp()):
        journal.checked += len(batch)
        with session_scope() as session:
            unseen = stripe_snapshots.unseen_events(session, [event["id"] for event in batch])
        for event in reversed(batch):
            if event["id"] in unseen:
                _take_in(stripe_sync, journal, event)


def _take_in(stripe_sync: StripeSync, journal: FindingsLog, event: dict[str, Any]) -> None:
    detail = f"{event['type']} of {datetime.fromtimestamp(event['created'], UTC):%Y-%m-%d %H:%M:%S} UTC never arrived."
    found = Found("events", event["id"], "missing_here", journal.repaired, detail)
    if journal.dry_run:
        return journal.write(found)
    with session_scope() as session:
        stored = stripe_events.receive(
            session,
            event_id=event["id"],
            type=event["type"],
            api_version=event.get("api_version"),
            created=datetime.fromtimestamp(event["created"], UTC),
            livemode=bool(event.get("livemode")),
            raw=orjson.dumps(event),  # not the signed bytes of a webhook, but read from Stripe itself
        )
        if stored:
            journal.add(session, found)
    if not stored:  # it arrived meanwhile
        return None
    journal.note(found)
    return handle(stripe_sync, event["id"])  # the event inbox retries failures


def _batches(events: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(events, BATCH)):
        yield batch
