"""Stripe mails receipts to the user's verified address only."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select

from models.db import session_scope
from models.services.accounts import addresses
from models.services.stripe import stripe_requests
from models.tables import RequestKind, RequestStatus, StripeRequest, User
from workers.stripe import customers, requests


@pytest.fixture
def ada(shop):
    return shop.user()


def known_to_stripe(shop, ada) -> dict:
    with session_scope() as session:
        customer = session.get_one(User, ada.id).stripe_customer_id
    return shop.stripe_sync.gateway.customer(customer)


def work(shop) -> None:
    """Let a worker perform all requests."""
    with session_scope() as session:
        waiting = select(StripeRequest.id).where(StripeRequest.status == RequestStatus.PENDING)
        ids = session.scalars(waiting.order_by(StripeRequest.created_at)).all()
    for request_id in ids:
        requests.perform(shop.stripe_sync, request_id)


def prove(shop, ada) -> None:
    with session_scope() as session:
        user = session.get_one(User, ada.id)
        addresses.confirm(session, user, welcome_credits=lambda _: Decimal(0))


def forget_proof(shop, ada) -> None:
    with session_scope() as session:
        session.get_one(User, ada.id).email_verified_at = None


def test_a_customer_gets_the_address_once_it_is_proven(shop, ada):
    forget_proof(shop, ada)
    customer = customers.ensure(shop.stripe_sync.gateway, ada.id)
    assert customers.ensure(shop.stripe_sync.gateway, ada.id) == customer
    assert known_to_stripe(shop, ada)["email"] is None
    prove(shop, ada)
    work(shop)
    assert known_to_stripe(shop, ada)["email"] == ada.email


def test_a_customer_that_was_made_before_a_crash_is_found_again(shop, ada):
    forget_proof(shop, ada)
    customer = customers.ensure(shop.stripe_sync.gateway, ada.id)
    with session_scope() as session:
        session.get_one(User, ada.id).stripe_customer_id = None
    assert customers.ensure(shop.stripe_sync.gateway, ada.id) == customer


def test_a_customer_follows_a_change(shop, ada):
    with session_scope() as session:
        session.get_one(User, ada.id).email_verified_at = datetime.now(UTC)
    customers.ensure(shop.stripe_sync.gateway, ada.id)
    with session_scope() as session:
        user = session.get_one(User, ada.id)
        user.email = "new@example.com"
        stripe_requests.update_address(session, user)
    work(shop)
    assert known_to_stripe(shop, ada)["email"] == "new@example.com"


def test_a_squatters_cards_and_subscription_end_with_the_owners_reset(shop, ada):
    forget_proof(shop, ada)
    gateway = shop.stripe_sync.gateway
    customer = customers.ensure(gateway, ada.id)
    gateway.attach("pm_card_visa", customer=customer, key="card")
    gateway.create_subscription(
        customer=customer, price="price_premium_monthly", payment_method=None, metadata={}, key="subscription"
    )
    with session_scope() as session:
        user = session.get_one(User, ada.id)
        stripe_requests.add(session, user, RequestKind.PAYMENT_METHOD_ADD, {"payment_method": "pm_card_mastercard"})
        addresses.recover(session, user.id, welcome_credits=lambda _: Decimal(0))
    work(shop)
    assert list(gateway.payment_methods(customer)) == []
    statuses = {one["status"] for one in gateway.subscriptions(customer=customer)}
    assert statuses <= {"canceled", "incomplete_expired"}
    with session_scope() as session:
        added = select(StripeRequest.status).where(StripeRequest.kind == RequestKind.PAYMENT_METHOD_ADD)
        assert session.scalars(added).one() is RequestStatus.FAILED
