"""One customer at Stripe for each user, however many workers meet a user's first payment at once.

All of them ask under one key, so that they are answered with the same customer. After that key's life a customer is
found again by our id in its metadata.
"""

import time
from uuid import UUID

from models.db import session_scope
from models.services import customers
from models.user import User
from workers.gateways.stripe import StripeGateway
from workers.gateways.stripe_errors import StripeKeyReused

KEY_LIFE_SECONDS = 25 * 3600


def ensure(gateway: StripeGateway, user_id: UUID) -> str:
    """The id of the user's customer, made now if there is none; raises `StripeFailed`."""
    with session_scope() as session:
        if known := customers.customer_id(session, user_id):
            return known
        user = session.get_one(User, user_id)
        key = customers.key(session, user_id)
    made = _find_or_create(gateway, user, key)
    with session_scope() as session:
        return customers.remember(session, user_id, made)


def forget(customer: str) -> None:
    """Stripe says that there is no such customer: the next request makes another one."""
    with session_scope() as session:
        customers.sync_customer(session, {"id": customer, "deleted": True})


def _find_or_create(gateway: StripeGateway, user: User, key: str) -> str:
    found = gateway.find_customer(user.id, user.email)
    if found is None:
        try:
            found = gateway.create_customer(user.id, email=user.email, name=user.name, key=key)
        except StripeKeyReused:  # the user was renamed between two tries; the first one's customer is theirs
            found = gateway.find_customer(user.id, created=int(time.time()) - KEY_LIFE_SECONDS)
            if found is None:
                raise
    return str(found["id"])
