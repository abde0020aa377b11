"""Stripe's list of events against those that came in. One that never came is stored and handled like any other."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson

from models.db import session_scope
from models.services import billing_events, mirrors
from models.services.reconciliation import Found
from workers.billing.events import handle
from workers.billing.subjects import Follower
from workers.reconciliation.journal import Journal

BATCH = 100


def compare_events(follower: Follower, journal: Journal, listed: Iterable[dict[str, Any]], before: datetime) -> None:
    """Take in every listed event that is older than `before` and never arrived, the oldest of each page first.

    It does not matter whether Stripe thinks that it delivered them: one that we acknowledged and lost counts as such.
    """
    for batch in _batches(event for event in listed if event["created"] < before.timestamp()):
        journal.checked += len(batch)
        with session_scope() as session:
            unseen = mirrors.unseen_events(session, [event["id"] for event in batch])
        for event in reversed(batch):
            if event["id"] in unseen:
                _take_in(follower, journal, event)


def _take_in(follower: Follower, journal: Journal, event: dict[str, Any]) -> None:
    detail = f"{event['type']} of {datetime.fromtimestamp(event['created'], UTC):%Y-%m-%d %H:%M:%S} UTC never came in."
    found = Found("events", event["id"], "missing_here", journal.repaired, detail)
    if journal.dry_run:
        return journal.write(found)
    with session_scope() as session:
        stored = billing_events.receive(
            session,
            event_id=event["id"],
            type=event["type"],
            api_version=event.get("api_version"),
            created=datetime.fromtimestamp(event["created"], UTC),
            livemode=bool(event.get("livemode")),
            raw=orjson.dumps(event),  # not the bytes that were signed, but read from Stripe itself
        )
        if stored:
            journal.add(session, found)
    if not stored:  # it arrived in this very moment
        return None
    journal.note(found)
    return handle(follower, event["id"])  # what goes wrong there is the inbox's to try again


def _batches(events: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(events, BATCH)):
        yield batch
