"""The payment methods that users keep at Stripe: wishes to change them, and our mirror of what is there."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import FieldError, InvalidInput, NotFound
from models.payment_method import PaymentMethod
from models.rules import billing
from models.services import stripe_requests
from models.services.locks import lock_user
from models.stripe_request import RequestKind, StripeRequest
from models.user import User


def list_owned(session: Session, owner: User) -> Sequence[PaymentMethod]:
    """What `owner` may pay with, the default first, then the newest."""
    mine = select(PaymentMethod).where(PaymentMethod.user_id == owner.id, PaymentMethod.removed_at.is_(None))
    return session.scalars(mine.order_by(PaymentMethod.is_default.desc(), PaymentMethod.created_at.desc())).all()


def get(session: Session, owner: User, method_id: str) -> PaymentMethod:
    """One of `owner`'s, by our id or Stripe's; raises `NotFound`."""
    try:
        named = PaymentMethod.id == UUID(method_id)
    except ValueError:
        named = PaymentMethod.stripe_id == method_id
    mine = (PaymentMethod.user_id == owner.id, PaymentMethod.removed_at.is_(None))
    if (row := session.scalar(select(PaymentMethod).where(named, *mine))) is None:
        raise NotFound("payment method")
    return row


def stripe_id(session: Session, owner: User, method_id: str) -> str:
    """Stripe's id of a method that `owner` may pay with: one that is kept, or one that the app has just made.

    Raises:
        NotFound: it is somebody else's, or was removed.
        InvalidInput: it is no id of a payment method.
    """
    if not method_id.startswith(("pm_", "card_")):
        try:
            UUID(method_id)
        except ValueError:
            wrong = FieldError("paymentMethodId", "Must be the id of a payment method.")
            raise InvalidInput("This is no payment method.", errors=[wrong]) from None
        return get(session, owner, method_id).stripe_id
    known = session.scalar(select(PaymentMethod.id).where(PaymentMethod.stripe_id == method_id))
    return get(session, owner, method_id).stripe_id if known else method_id


def start_add(session: Session, user: User, method_id: str) -> StripeRequest:
    """Wish to keep a method that the app made; `params` has `payment_method`. Raises `NotFound`, `InvalidInput`."""
    params = {"payment_method": stripe_id(session, user, method_id)}
    return stripe_requests.add(session, user, RequestKind.PAYMENT_METHOD_ADD, params)


def start_default(session: Session, user: User, method_id: str) -> StripeRequest:
    """Wish to pay with this one from now on; raises `NotFound`."""
    row = get(session, user, method_id)
    params = {"payment_method": row.stripe_id}
    return stripe_requests.add(session, user, RequestKind.PAYMENT_METHOD_DEFAULT, params)


def start_remove(session: Session, user: User, method_id: str) -> StripeRequest:
    """Wish to forget one; raises `NotFound`."""
    row = get(session, user, method_id)
    return stripe_requests.add(session, user, RequestKind.PAYMENT_METHOD_REMOVE, {"payment_method": row.stripe_id})


def sync(session: Session, method: Mapping[str, Any]) -> PaymentMethod | None:
    """Follow a payment method as Stripe has it now; None when it is nobody's of ours.

    Without a customer it was detached, which is for good.
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
    row = row.on_conflict_do_update(index_elements=["stripe_id"], set_=values | {"updated_at": func.now()})
    session.execute(row)
    return _find(session, method["id"])


def sync_default(session: Session, user_id: UUID, default: str | None) -> None:
    """Mark the one that invoices are paid with, by Stripe's id, and no other."""
    lock_user(session, user_id)
    mine = update(PaymentMethod).where(PaymentMethod.user_id == user_id, PaymentMethod.removed_at.is_(None))
    other = PaymentMethod.stripe_id != default if default is not None else true()
    fresh = {"synchronize_session": False}
    session.execute(mine.where(PaymentMethod.is_default, other).values(is_default=False).execution_options(**fresh))
    if default is not None:
        this = mine.where(PaymentMethod.stripe_id == default, ~PaymentMethod.is_default)
        session.execute(this.values(is_default=True).execution_options(**fresh))


def remove_all(session: Session, user_id: UUID) -> None:
    """The customer is gone, and everything kept with it."""
    _remove(session, PaymentMethod.user_id == user_id)


def _remove(session: Session, which: Any) -> None:
    gone = update(PaymentMethod).where(which, PaymentMethod.removed_at.is_(None))
    values = {"removed_at": func.now(), "is_default": False}
    session.execute(gone.values(values).execution_options(synchronize_session=False))


def _find(session: Session, stripe_id: str) -> PaymentMethod | None:
    query = select(PaymentMethod).where(PaymentMethod.stripe_id == stripe_id)
    return session.scalar(query.execution_options(populate_existing=True))
