"""One customer at Stripe for each user, even when several workers handle a user's first payment at once.

All of them use one idempotency key, so that they get the same customer. Before one is created it is looked up by our
id in its metadata; a key under which Stripe stored a failure is replaced by the next one, the same for all workers.
"""

import time
from uuid import UUID

from sqlalchemy.orm import Session

from models.db import session_scope
from models.services.stripe import customers
from models.tables import User
from workers.gateways.stripe.errors import StripeBroken, StripeKeyReused
from workers.gateways.stripe.gateway import StripeGateway
from workers.stripe.idempotency import once

CLOCKS_SECONDS = 300  # how much our clock and Stripe's may differ
KEY_LIFE_SECONDS = 25 * 3600


def ensure(gateway: StripeGateway, user_id: UUID) -> str:
    """Return the id of the user's customer, creating it if needed; raises `StripeFailed`."""
    with session_scope() as session:
        if known := customers.customer_id(session, user_id):
            return known
        user = session.get_one(User, user_id)
        key = customers.key(session, user_id)
    made = _find_or_create(gateway, user, key)
    with session_scope() as session:
        return customers.remember(session, user_id, made)


def known(session: Session, user_id: UUID) -> str | None:
    """The id of the user's customer, if there is one."""
    return customers.customer_id(session, user_id)


def proven_address(user_id: UUID) -> str | None:
    """The address for Stripe's receipts; None while it is not verified, and once the account is deleted."""
    with session_scope() as session:
        user = session.get_one(User, user_id)
        return _proven(user) if user.deleted_at is None else None


def forget(customer: str) -> None:
    """Drop our record of a customer that Stripe does not have; the next request creates another one."""
    with session_scope() as session:
        customers.sync_customer(session, {"id": customer, "deleted": True})


def _find_or_create(gateway: StripeGateway, user: User, key: str) -> str:
    email = _proven(user)
    create = StripeGateway.create_customer
    try:
        if email is None:  # it cannot be found by address, and it cannot be older than the user
            since = int(user.created_at.timestamp()) - CLOCKS_SECONDS
            if (found := gateway.find_customer(user.id, created=since)) is not None:
                return str(found["id"])
        return str(once(create, gateway, user.id, email=email, name=user.name, key=key)["id"])
    except StripeKeyReused:  # the user was renamed between two tries; the first try's customer is theirs
        found = gateway.find_customer(user.id, created=int(time.time()) - KEY_LIFE_SECONDS)
        if found is not None:
            return str(found["id"])
        _give_up(user.id, key)
        raise
    except StripeBroken:  # Stripe stores that failure under the key for a day
        _give_up(user.id, key)
        raise


def _give_up(user_id: UUID, key: str) -> None:
    with session_scope() as session:
        customers.give_up_key(session, user_id, key)


def _proven(user: User) -> str | None:
    """The user's verified address; Stripe must not mail receipts to strangers."""
    return user.email if user.email_verified_at else None
