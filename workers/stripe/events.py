"""Handling of Stripe's events: an event is only a hint, its object is read from Stripe after the lock.

One transaction claims the event, locks and reads its object, applies it and marks the event done. If that fails it is
rolled back, and another transaction records when to retry, or why the event is given up.
"""

from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import NotYet
from models.rules.stripe.billing import EVENTS, Subject, ref
from models.services.operations import alerts
from models.services.stripe import invoices, stripe_events
from models.tables import StripeEvent
from telemetry import correlation
from workers.gateways.stripe.errors import StripeFailed, StripeForbidden, StripeMisconfigured, StripeRefused
from workers.stripe.sync import StripeSync

log = structlog.get_logger(__name__)

MISCONFIGURED_WAIT = 60.0  # seconds; an operator has to correct the key
FOLLOWED = frozenset(Subject) - {Subject.UPCOMING_INVOICE, Subject.INVOICE_PAYMENT, Subject.ALERT}


def handle(stripe: StripeSync, event_id: str) -> None:
    """Handle an event as far as possible now. Safe to call at any time, repeatedly and concurrently."""
    with session_scope() as session:
        event = stripe_events.begin(session, event_id)
    if event is not None:
        with correlation.bound(request_id=event.request_id, event_id=event_id):
            _attempt(stripe, event_id)


def _attempt(stripe: StripeSync, event_id: str) -> None:
    try:
        _handle(stripe, event_id)
    except NotYet as error:
        _wait(event_id, f"orphan: {error.detail}")
    except (StripeForbidden, StripeRefused) as error:
        _give_up(event_id, f"{error.code}: {error.reason or error.detail}")
    except StripeMisconfigured as error:
        log.error("stripe.misconfigured", event_id=event_id, stripe_request=error.request_id)
        _wait(event_id, error.detail, counts=False, after=MISCONFIGURED_WAIT)
    except StripeFailed as error:
        _wait(event_id, f"{error.code}: {error.reason}", counts=not error.retryable, after=error.retry_after)
    except OperationalError as error:  # a lock that took too long, or a database that went away
        _wait(event_id, f"database: {type(error.orig).__name__}", counts=False)
    except Exception as error:
        log.exception("stripe_event.failed", event_id=event_id)
        _wait(event_id, f"{type(error).__name__}: {error}")


def _handle(stripe: StripeSync, event_id: str) -> None:
    with session_scope() as session:
        event = stripe_events.claim(session, event_id)
        if event is None:
            return
        if _take_effect(stripe, session, event):
            stripe_events.done(session, event_id)
        else:
            stripe_events.ignored(session, event_id)
            log.info("stripe_event.not_ours", event_id=event_id, type=event.type)


def _take_effect(stripe: StripeSync, session: Session, event: StripeEvent) -> bool:
    """Apply the event's object; return whether it concerns anything of ours."""
    subject = EVENTS.get(event.type)
    thing: Mapping[str, Any] = orjson.loads(event.raw)["data"]["object"]
    match subject:
        case Subject.ALERT:
            return _alert(session, event, thing)
        case Subject.UPCOMING_INVOICE:
            invoices.notify_user(session, thing)
            return True
        case Subject.INVOICE_PAYMENT:
            return bool(stripe.sync(session, Subject.INVOICE, str(ref(thing["invoice"]))))
        case Subject.INVOICE:
            return _invoice(stripe, session, thing["id"])
        case _ if subject in FOLLOWED:
            return bool(stripe.sync(session, subject, thing["id"]))
    return False


def _invoice(stripe: StripeSync, session: Session, invoice_id: str) -> bool:
    """Sync an invoice; a draft may have been deleted at Stripe, and then there is nothing to sync."""
    try:
        return bool(stripe.sync(session, Subject.INVOICE, invoice_id))
    except StripeRefused as error:
        if error.missing:
            return False
        raise


def _alert(session: Session, event: StripeEvent, thing: Mapping[str, Any]) -> bool:
    about = ref(thing.get("charge")) or ref(thing.get("invoice")) or thing["id"]
    detail = f"Stripe reports {event.type} about {about}."
    return alerts.add(session, kind=event.type, subject=thing["id"], detail=detail, key=f"{event.type}:{thing['id']}")


def _give_up(event_id: str, reason: str) -> None:
    """Stop retrying an event whose object Stripe refuses to show; only an operator can change that."""
    log.error("stripe_event.given_up", event_id=event_id, reason=reason)
    with session_scope() as session:
        stripe_events.give_up(session, event_id, reason)


def _wait(event_id: str, reason: str, *, counts: bool = True, after: float | None = None) -> None:
    log.warning("stripe_event.waiting", event_id=event_id, reason=reason)
    with session_scope() as session:
        stripe_events.retry_later(session, event_id, reason, counts=counts, after=after)
