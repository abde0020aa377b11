"""The rows that workers and Stripe's webhooks write, one function for each."""

import itertools
import json
import time
from datetime import UTC, datetime
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from stripe import WebhookSignature

from models.rules.prices.pricing import Tier
from models.services.stripe import stripe_requests
from models.tables import Invoice, PaymentMethod, StripeRequest, Subscription, User
from simulators.stripe import StripeSimulator

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
LATER = datetime(2027, 2, 15, 12, tzinfo=UTC)

_numbers = itertools.count(1)


def payment_method(session: Session, owner: User, **columns: Any) -> PaymentMethod:
    """A card of `owner`."""
    card = {"type": "card", "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030}
    row = PaymentMethod(**{"stripe_id": f"pm_{next(_numbers)}", "user_id": owner.id} | card | columns)
    session.add(row)
    session.flush()
    return row


def invoice(session: Session, owner: User, **columns: Any) -> Invoice:
    """A paid invoice of `owner`."""
    number = next(_numbers)
    said = {"description": "Premium", "amount_cents": 999, "currency": "usd", "status": "paid", "issued_at": NOW}
    pdf = {"stripe_id": f"in_{number}", "pdf_url": f"https://pay.stripe.test/in_{number}/pdf"}
    row = Invoice(**{"user_id": owner.id} | said | pdf | columns)
    session.add(row)
    session.flush()
    return row


def subscription(session: Session, owner: User, **columns: Any) -> Subscription:
    """An active premium subscription of `owner`, with the tier that it grants."""
    stripe = {"stripe_id": f"sub_{next(_numbers)}", "customer_id": "cus_1", "item_id": "si_1", "started_at": NOW}
    plan = {"price_id": "price_premium_monthly", "tier": Tier.PREMIUM, "grants": Tier.PREMIUM, "status": "active"}
    period = {"current_period_start": NOW, "current_period_end": LATER}
    row = Subscription(**{"user_id": owner.id} | stripe | plan | period | columns)
    session.add(row)
    session.merge(owner).subscription_tier = row.grants
    session.flush()
    return row


def request(session: Session) -> StripeRequest:
    """The newest Stripe request in the database."""
    newest = select(StripeRequest).order_by(StripeRequest.created_at.desc(), StripeRequest.id)
    return session.scalars(newest.limit(1).execution_options(populate_existing=True)).one()


def done(session: Session, answer: dict[str, Any]) -> None:
    """Let the newest request succeed, as a worker does."""
    stripe_requests.succeed(session, request(session).id, answer)
    session.commit()


def failed(session: Session, code: str, message: str = "No.", *, declined: bool = False) -> None:
    """Let the newest request fail, as a worker does."""
    stripe_requests.fail(session, request(session).id, code=code, message=message, declined=declined)
    session.commit()


def send_event(client: FlaskClient, event: dict[str, Any]) -> None:
    """Send an event as Stripe's webhook does."""
    body = json.dumps(event)
    header = WebhookSignature.generate_signature_header(body, "whsec_development", int(time.time()))
    answer = client.post("/webhooks/stripe", data=body, headers={"Stripe-Signature": header})
    assert answer.status_code == 200, answer.json


def send_all_events(client: FlaskClient, stripe: StripeSimulator) -> None:
    """Send all events of the simulated Stripe, the oldest first."""
    for event in stripe.objects("event"):
        send_event(client, event)
