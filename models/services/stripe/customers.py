"""Stripe customers of users. A user has one at a time, even if several requests need it at once."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models.rules.stripe import billing
from models.services.stripe import payment_methods, stripe_requests
from models.tables import StripeRequest, User


def customer_id(session: Session, user_id: UUID) -> str | None:
    """Stripe's id of the user's customer, if any."""
    return session.scalar(select(User.stripe_customer_id).where(User.id == user_id))


def key(session: Session, user_id: UUID) -> str:
    """The idempotency key for creating the user's customer, the same for all requests until it is used up."""
    lost = session.scalars(select(User.stripe_customers_lost).where(User.id == user_id)).one()
    return f"customer-{user_id}" + (f"-{lost}" if lost else "")


def give_up_key(session: Session, user_id: UUID, used_up: str) -> None:
    """Use another key than `used_up` for creating the customer; several calls for one key have a single effect."""
    session.execute(select(User.id).where(User.id == user_id).with_for_update())
    if key(session, user_id) == used_up:
        more = update(User).where(User.id == user_id).values(stripe_customers_lost=User.stripe_customers_lost + 1)
        session.execute(more.execution_options(synchronize_session=False))


def close_if_deleted(session: Session, user_id: UUID) -> StripeRequest | None:
    """Request the closing of a deleted user's account at Stripe.

    None if the user is not deleted, has no customer, or it was requested before.
    """
    is_deleted = select(User.id).where(User.id == user_id, User.deleted_at.is_not(None))
    return None if session.scalar(is_deleted) is None else stripe_requests.close_account(session, user_id)


def owner(session: Session, customer: str | None) -> UUID | None:
    """The id of the user with this customer."""
    return session.scalar(select(User.id).where(User.stripe_customer_id == customer)) if customer else None


def remember(session: Session, user_id: UUID, customer: str) -> str:
    """Set the user's customer unless there is one already; returns the user's customer."""
    first = update(User).where(User.id == user_id, User.stripe_customer_id.is_(None))
    session.execute(first.values(stripe_customer_id=customer).execution_options(synchronize_session=False))
    user = select(User).where(User.id == user_id).execution_options(populate_existing=True)
    return session.scalars(user).one().stripe_customer_id or customer


def sync_customer(session: Session, customer: Mapping[str, Any]) -> UUID | None:
    """Update our rows from a customer as it is at Stripe now; returns its user, None if it is not ours.

    A deleted customer is unlinked, so that the next purchase creates a new one. An unknown customer with the id of one
    of our users in its metadata (after a restore of our database) becomes that user's.
    """
    user_id = owner(session, customer["id"])
    if customer.get("deleted"):
        _unlink(session, customer["id"])
        return user_id
    if user_id is None and (user_id := _claimed_user(session, customer)):
        user_id = user_id if remember(session, user_id, customer["id"]) == customer["id"] else None
    if user_id is not None and our_id(customer, billing.USER) in (None, user_id):  # otherwise reconciliation reports it
        default = billing.ref((customer.get("invoice_settings") or {}).get("default_payment_method"))
        payment_methods.sync_default(session, user_id, default)
    return user_id


def _unlink(session: Session, customer: str) -> None:
    unlinked = update(User).where(User.stripe_customer_id == customer).returning(User)
    values = {"stripe_customer_id": None, "stripe_customers_lost": User.stripe_customers_lost + 1}
    for user in session.scalars(unlinked.values(values), execution_options={"populate_existing": True}).all():
        payment_methods.remove_all(session, user.id)


def _claimed_user(session: Session, customer: Mapping[str, Any]) -> UUID | None:
    claimed = our_id(customer, billing.USER)
    return session.scalar(select(User.id).where(User.id == claimed)) if claimed else None


def our_id(stripe_object: Mapping[str, Any], name: str) -> UUID | None:
    """One of our ids from the metadata of a Stripe object; None if it is missing or no UUID."""
    try:
        return UUID((stripe_object.get("metadata") or {}).get(name))
    except (TypeError, ValueError, AttributeError):
        return None
