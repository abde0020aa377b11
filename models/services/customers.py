"""Who a user is at Stripe. A user has one customer there at a time, however many requests need it first."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models.rules import billing
from models.services import payment_methods
from models.user import User


def customer_id(session: Session, user_id: UUID) -> str | None:
    """Stripe's id of the user's customer, if there is one."""
    return session.scalar(select(User.stripe_customer_id).where(User.id == user_id))


def key(session: Session, user_id: UUID) -> str:
    """The idempotency key under which the user's customer is to be made: the same until Stripe deletes it."""
    lost = session.scalars(select(User.stripe_customers_lost).where(User.id == user_id)).one()
    return f"customer-{user_id}" + (f"-{lost}" if lost else "")


def owner(session: Session, customer: str | None) -> UUID | None:
    """The user who is this customer."""
    return session.scalar(select(User.id).where(User.stripe_customer_id == customer)) if customer else None


def remember(session: Session, user_id: UUID, customer: str) -> str:
    """Make `customer` the user's, unless there is one already; answers the one that counts."""
    first = update(User).where(User.id == user_id, User.stripe_customer_id.is_(None))
    session.execute(first.values(stripe_customer_id=customer).execution_options(synchronize_session=False))
    user = select(User).where(User.id == user_id).execution_options(populate_existing=True)
    return session.scalars(user).one().stripe_customer_id or customer


def sync_customer(session: Session, customer: Mapping[str, Any]) -> UUID | None:
    """Follow a customer as Stripe has it now; answers its user, None when it is nobody of ours.

    A deleted one is forgotten, so that the next purchase makes a new one. One that carries our id and that we do not
    know (after a restore of our database) becomes the user's.
    """
    user_id = owner(session, customer["id"])
    if customer.get("deleted"):
        _forget(session, customer["id"])
        return user_id
    if user_id is None and (user_id := _claimed_user(session, customer)):
        user_id = user_id if remember(session, user_id, customer["id"]) == customer["id"] else None
    if user_id is not None:
        default = billing.ref((customer.get("invoice_settings") or {}).get("default_payment_method"))
        payment_methods.sync_default(session, user_id, default)
    return user_id


def _forget(session: Session, customer: str) -> None:
    gone = update(User).where(User.stripe_customer_id == customer).returning(User)
    values = {"stripe_customer_id": None, "stripe_customers_lost": User.stripe_customers_lost + 1}
    for user in session.scalars(gone.values(values), execution_options={"populate_existing": True}).all():
        payment_methods.remove_all(session, user.id)


def _claimed_user(session: Session, customer: Mapping[str, Any]) -> UUID | None:
    claimed = our_id(customer, billing.USER)
    return session.scalar(select(User.id).where(User.id == claimed)) if claimed else None


def our_id(thing: Mapping[str, Any], name: str) -> UUID | None:
    """An id of ours from the metadata of something at Stripe; None when there is none, or none that could be ours."""
    try:
        return UUID((thing.get("metadata") or {}).get(name))
    except (TypeError, ValueError, AttributeError):
        return None
