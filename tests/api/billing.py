"""What a worker and Stripe's webhooks would have written, in one line."""

import itertools
import json
import time
from datetime import UTC, datetime
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from stripe import WebhookSignature

from devstack.stripe_simulator import StripeSimulator
from models.invoice import Invoice
from models.payment_method import PaymentMethod
from models.rules.pricing import Tier
from models.services import stripe_requests
from models.stripe_request import StripeRequest
from models.subscription import Subscription
from models.user import User

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
LATER = datetime(2027, 2, 15, 12, tzinfo=UTC)

_numbers = itertools.count(1)


def payment_method(session: Session, owner: User, **columns: Any) -> PaymentMethod:
    """A card of `owner`'s."""
    card = {"type": "card", "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030}
    row = PaymentMethod(**{"stripe_id": f"pm_{next(_numbers)}", "user_id": owner.id} | card | columns)
    session.add(row)
    session.flush()
    return row


def invoice(session: Session, owner: User, **columns: Any) -> Invoice:
    """A paid invoice of `owner`'s."""
    number = next(_numbers)
    said = {"description": "Premium", "amount_cents": 999, "currency": "usd", "status": "paid", "issued_at": NOW}
    pdf = {"stripe_id": f"in_{number}", "pdf_url": f"https://pay.stripe.test/in_{number}/pdf"}
    row = Invoice(**{"user_id": owner.id} | said | pdf | columns)
    session.add(row)
    session.flush()
    return row


def subscription(session: Session, owner: User, **columns: Any) -> Subscription:
    """A live subscription of `owner`'s to premium, and the tier that goes with it."""
    stripe = {"stripe_id": f"sub_{next(_numbers)}", "customer_id": "cus_1", "item_id": "si_1", "started_at": NOW}
    plan = {"price_id": "price_premium_monthly", "tier": Tier.PREMIUM, "grants": Tier.PREMIUM, "status": "active"}
    period = {"current_period_start": NOW, "current_period_end": LATER}
    row = Subscription(**{"user_id": owner.id} | stripe | plan | period | columns)
    session.add(row)
    session.merge(owner).subscription_tier = row.grants
    session.flush()
    return row


def request(session: Session) -> StripeRequest:
    """The newest wish, as the database has it."""
    newest = select(StripeRequest).order_by(StripeRequest.created_at.desc(), StripeRequest.id)
    return session.scalars(newest.limit(1).execution_options(populate_existing=True)).one()


def done(session: Session, answer: dict[str, Any]) -> None:
    """A worker has done the newest wish."""
    stripe_requests.succeed(session, request(session).id, answer)
    session.commit()


def failed(session: Session, code: str, message: str = "No.", *, declined: bool = False) -> None:
    """The newest wish came to nothing."""
    stripe_requests.fail(session, request(session).id, code=code, message=message, declined=declined)
    session.commit()


def tell(client: FlaskClient, event: dict[str, Any]) -> None:
    """Send an event as Stripe's webhook does."""
    body = json.dumps(event)
    header = WebhookSignature.generate_signature_header(body, "whsec_development", int(time.time()))
    answer = client.post("/webhooks/stripe", data=body, headers={"Stripe-Signature": header})
    assert answer.status_code == 200, answer.json


def tell_all(client: FlaskClient, stripe: StripeSimulator) -> None:
    """Send everything that happened at Stripe, the oldest first."""
    for event in stripe.objects("event"):
        tell(client, event)
