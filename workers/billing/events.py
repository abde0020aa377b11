"""What an event of Stripe's leads to. It is only a hint where to look: what counts is what is read after the lock.

One transaction claims the event, locks and reads its object, takes effect and says done. When that fails nothing of it
remains, and another transaction says when to try again, or why nobody will.
"""

from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.db import session_scope
from models.rules.billing import EVENTS, Subject, ref
from models.services import alerts, billing_events, invoices
from models.services.waiting import NotYet
from models.stripe_event import StripeEvent
from workers.billing.subjects import Follower
from workers.gateways.stripe_errors import StripeFailed, StripeMisconfigured, StripeRefused

log = structlog.get_logger(__name__)

MISCONFIGURED_WAIT = 60.0  # seconds: an operator has to change a key
FOLLOWED = frozenset(Subject) - {Subject.UPCOMING_INVOICE, Subject.INVOICE_PAYMENT, Subject.ALERT}


def handle(follower: Follower, event_id: str) -> None:
    """Handle an event as far as it goes now. Safe to call at any time, for any event, any number of times at once."""
    with session_scope() as session:
        if not billing_events.begin(session, event_id):
            return
    try:
        _handle(follower, event_id)
    except NotYet as error:
        _wait(event_id, f"orphan: {error.detail}")
    except StripeMisconfigured as error:
        log.error("stripe_misconfigured", event_id=event_id, request_id=error.request_id)
        _wait(event_id, error.detail, counts=False, after=MISCONFIGURED_WAIT)
    except StripeFailed as error:
        _wait(event_id, f"{error.code}: {error.reason}", counts=not error.retryable, after=error.retry_after)
    except OperationalError as error:  # a lock that took too long, or a database that went away
        _wait(event_id, f"database: {type(error.orig).__name__}", counts=False)
    except Exception as error:
        log.exception("stripe_event_failed", event_id=event_id)
        _wait(event_id, f"{type(error).__name__}: {error}")


def _handle(follower: Follower, event_id: str) -> None:
    with session_scope() as session:
        event = billing_events.claim(session, event_id)
        if event is None:
            return
        if _take_effect(follower, session, event):
            billing_events.done(session, event_id)
        else:
            billing_events.ignored(session, event_id)
            log.info("stripe_event_not_ours", event_id=event_id, type=event.type)


def _take_effect(follower: Follower, session: Session, event: StripeEvent) -> bool:
    """Whether the event was about something of ours."""
    subject = EVENTS.get(event.type)
    thing: Mapping[str, Any] = orjson.loads(event.raw)["data"]["object"]
    match subject:
        case Subject.ALERT:
            return _alert(session, event, thing)
        case Subject.UPCOMING_INVOICE:
            invoices.announce(session, thing)
            return True
        case Subject.INVOICE_PAYMENT:
            return bool(follower.follow(session, Subject.INVOICE, str(ref(thing["invoice"]))))
        case Subject.INVOICE:
            return _invoice(follower, session, thing["id"])
        case _ if subject in FOLLOWED:
            return bool(follower.follow(session, subject, thing["id"]))
    return False


def _invoice(follower: Follower, session: Session, invoice_id: str) -> bool:
    """Drafts may be deleted at Stripe; then there is nothing to follow."""
    try:
        return bool(follower.follow(session, Subject.INVOICE, invoice_id))
    except StripeRefused as error:
        if error.missing:
            return False
        raise


def _alert(session: Session, event: StripeEvent, thing: Mapping[str, Any]) -> bool:
    about = ref(thing.get("charge")) or ref(thing.get("invoice")) or thing["id"]
    detail = f"Stripe reports {event.type} about {about}."
    return alerts.add(session, kind=event.type, subject=thing["id"], detail=detail, key=f"{event.type}:{thing['id']}")


def _wait(event_id: str, reason: str, *, counts: bool = True, after: float | None = None) -> None:
    log.warning("stripe_event_waits", event_id=event_id, reason=reason)
    with session_scope() as session:
        billing_events.wait(session, event_id, reason, counts=counts, after=after)
