"""The payment methods of users at Stripe: requests to change them, and our mirror of them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import FieldError, InvalidInput, NotFound
from models.rules.stripe import billing
from models.services.rows.queries import lock_user
from models.services.stripe import stripe_requests
from models.tables import PaymentMethod, RequestKind, StripeRequest, User


def list_owned(session: Session, owner: User) -> Sequence[PaymentMethod]:
    """The payment methods of `owner`: the default first, then the newest."""
    owned = select(PaymentMethod).where(PaymentMethod.user_id == owner.id, PaymentMethod.removed_at.is_(None))
    return session.scalars(owned.order_by(PaymentMethod.is_default.desc(), PaymentMethod.created_at.desc())).all()


def get(session: Session, owner: User, method_id: str) -> PaymentMethod:
    """A payment method of `owner`, by our id or Stripe's; raises `NotFound`."""
    try:
        named = PaymentMethod.id == UUID(method_id)
    except ValueError:
        named = PaymentMethod.stripe_id == method_id
    owned = (PaymentMethod.user_id == owner.id, PaymentMethod.removed_at.is_(None))
    if (row := session.scalar(select(PaymentMethod).where(named, *owned))) is None:
        raise NotFound("payment method")
    return row


def stripe_id(session: Session, owner: User, method_id: str) -> str:
    """Stripe's id of a method that `owner` may use: a saved one, or one that the app has just created.

    Raises:
        NotFound: it belongs to another user, or was removed.
        InvalidInput: it is not the id of a payment method.
    """
    if not method_id.startswith(("pm_", "card_")):
        try:
            UUID(method_id)
        except ValueError:
            wrong = FieldError("paymentMethodId", "Must be the id of a payment method.")
            raise InvalidInput("This is not a payment method.", errors=[wrong]) from None
        return get(session, owner, method_id).stripe_id
    known = session.scalar(select(PaymentMethod.id).where(PaymentMethod.stripe_id == method_id))
    return get(session, owner, method_id).stripe_id if known else method_id


def start_add(session: Session, user: User, method_id: str) -> StripeRequest:
    """Request to save a method that the app created; raises `NotFound` and `InvalidInput`.

    `params` has `payment_method`.
    """
    params = {"payment_method": stripe_id(session, user, method_id)}
    return stripe_requests.add(session, user, RequestKind.PAYMENT_METHOD_ADD, params)


def start_default(session: Session, user: User, method_id: str) -> StripeRequest:
    """Request to make a method the default; raises `NotFound`."""
    row = get(session, user, method_id)
    params = {"payment_method": row.stripe_id}
    return stripe_requests.add(session, user, RequestKind.PAYMENT_METHOD_DEFAULT, params)


def start_remove(session: Session, user: User, method_id: str) -> StripeRequest:
    """Request to remove a method; raises `NotFound`."""
    row = get(session, user, method_id)
    return stripe_requests.add(session, user, RequestKind.PAYMENT_METHOD_REMOVE, {"payment_method": row.stripe_id})


def sync(session: Session, method: Mapping[str, Any]) -> PaymentMethod | None:
    """Update our mirror from a payment method as it is at Stripe now; None if it is not ours.

    A method without a customer was detached, which is final. The user of a method never changes, because Stripe does
    not move methods to other customers.
    """
    customer = billing.ref(method.get("customer"))
    if customer is None:
        _remove(session, PaymentMethod.stripe_id == method["id"])
        return _find(session, method["id"])
    user_id = session.scalar(select(User.id).where(User.stripe_customer_id == customer))
    if user_id is None:
        return None
    card = method.get("card") or {}
    values = {
        "user_id": user_id,
        "type": method["type"],
        "brand": card.get("display_brand") or card.get("brand"),
        "last4": card.get("last4") or (method.get(method["type"]) or {}).get("last4"),
        "exp_month": card.get("exp_month"),
        "exp_year": card.get("exp_year"),
    }
    row = insert(PaymentMethod).values(stripe_id=method["id"], **values)
    changes = {name: value for name, value in values.items() if name != "user_id"} | {"updated_at": func.now()}
    row = row.on_conflict_do_update(index_elements=["stripe_id"], set_=changes)
    session.execute(row)
    return _find(session, method["id"])


def sync_default(session: Session, user_id: UUID, default: str | None) -> None:
    """Mark the method with Stripe's id `default`, and no other, as the one by which invoices are paid."""
    lock_user(session, user_id)
    owned = update(PaymentMethod).where(PaymentMethod.user_id == user_id, PaymentMethod.removed_at.is_(None))
    other = PaymentMethod.stripe_id != default if default is not None else true()
    options = {"synchronize_session": False}
    session.execute(owned.where(PaymentMethod.is_default, other).values(is_default=False).execution_options(**options))
    if default is not None:
        this = owned.where(PaymentMethod.stripe_id == default, ~PaymentMethod.is_default)
        session.execute(this.values(is_default=True).execution_options(**options))


def remove_all(session: Session, user_id: UUID) -> None:
    """Mark all methods of a user as removed, because the customer was deleted at Stripe."""
    _remove(session, PaymentMethod.user_id == user_id)


def _remove(session: Session, condition: Any) -> None:
    removed = update(PaymentMethod).where(condition, PaymentMethod.removed_at.is_(None))
    values = {"removed_at": func.now(), "is_default": False}
    session.execute(removed.values(values).execution_options(synchronize_session=False))


def _find(session: Session, stripe_id: str) -> PaymentMethod | None:
    query = select(PaymentMethod).where(PaymentMethod.stripe_id == stripe_id)
    return session.scalar(query.execution_options(populate_existing=True))
