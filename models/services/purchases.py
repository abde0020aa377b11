"""Credits for money: what was sold, and what is to be asked of Stripe. Whether it was paid is known by `payments`."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from models.errors import FieldError, Forbidden, InvalidInput, NotFound
from models.purchase import Purchase
from models.refund import Dispute
from models.rules import billing
from models.rules.pricing import PACKAGES, PRICE_LIST, Package
from models.services import payment_methods, stripe_requests
from models.services.paging import Position, newest_first
from models.services.payments import CURRENCY, Effect, adopt, sync_intent
from models.stripe_request import RequestKind, StripeRequest
from models.user import User

__all__ = ["Effect", "adopt", "get", "knows", "list_owned", "start", "sync_intent"]


class PaymentsFrozen(Forbidden):
    """While a bank disputes one payment, we take no other."""

    code = "payments_frozen"

    def __init__(self) -> None:
        super().__init__("A payment of yours is being disputed; nothing can be bought until that is settled.")


def start(
    session: Session,
    user: User,
    *,
    package_id: str | None = None,
    amount_cents: int | None = None,
    payment_method_id: str | None = None,
) -> tuple[Purchase, StripeRequest]:
    """Sell a package as it is priced now, and write down what to ask Stripe for.

    Args:
        package_id: the package, or
        amount_cents: US cents equal to a package's price.
        payment_method_id: to be charged at once; else the app confirms with the client secret.

    Raises:
        InvalidInput: not exactly one package is named, or none of ours.
        NotFound: no payment method of this user's.
        PaymentsFrozen: a dispute is open.
    """
    package = _package(package_id, amount_cents)
    _check_not_frozen(session, user)
    method = payment_methods.stripe_id(session, user, payment_method_id) if payment_method_id else None
    purchase = Purchase(
        user_id=user.id,
        package_id=package.id,
        credits=Decimal(package.credits),
        bonus=Decimal(package.bonus),
        amount_cents=package.price_cents,
        currency=CURRENCY,
        price_list=PRICE_LIST,
        payment_method_id=method,
    )
    session.add(purchase)
    session.flush()
    params = {
        "amount": purchase.amount_cents,
        "currency": purchase.currency,
        "payment_method": method,
        "description": f"{purchase.granted.normalize():f} credits",
        "metadata": {
            billing.PURCHASE: str(purchase.id),
            billing.USER: str(user.id),
            billing.PACKAGE: f"{PRICE_LIST}/{package.id}",
        },
    }
    return purchase, stripe_requests.add(session, user, RequestKind.PURCHASE, params, subject_id=purchase.id)


def get(session: Session, owner: User, purchase_id: UUID) -> Purchase:
    """One purchase of `owner`'s, as the database has it now; raises `NotFound`."""
    mine = select(Purchase).where(Purchase.id == purchase_id, Purchase.user_id == owner.id)
    row = session.scalar(mine.execution_options(populate_existing=True))
    if row is None:
        raise NotFound("purchase")
    return row


def list_owned(
    session: Session, owner: User, *, limit: int = 50, offset: int = 0, after: Position | None = None
) -> Sequence[Purchase]:
    """A page of `owner`'s purchases, the newest first."""
    mine = select(Purchase).where(Purchase.user_id == owner.id)
    return session.scalars(newest_first(mine, Purchase, limit=limit, offset=offset, after=after)).all()


def knows(session: Session, intent_id: str) -> bool:
    """Whether a purchase of ours has this payment intent."""
    return bool(session.scalar(select(exists().where(Purchase.payment_intent_id == intent_id))))


def _package(package_id: str | None, amount_cents: int | None) -> Package:
    field = "packageId" if package_id is not None else "amount"
    if (package_id is None) == (amount_cents is None):
        wrong = FieldError(field, "Name a package or the amount that it costs, and not both.")
        raise InvalidInput("It is not clear what to buy.", errors=[wrong])
    for package in PACKAGES.values():
        if package_id == package.id or amount_cents == package.price_cents:
            return package
    wrong = FieldError(field, f"Must be one of {', '.join(PACKAGES)}, or the price of one.")
    raise InvalidInput("There is no such package.", errors=[wrong])


def _check_not_frozen(session: Session, user: User) -> None:
    disputed = select(Dispute.id).join(Purchase, Purchase.id == Dispute.purchase_id)
    is_open = (Purchase.user_id == user.id, Dispute.status.in_(billing.DISPUTE_OPEN))
    if session.scalar(disputed.where(*is_open).limit(1)):
        raise PaymentsFrozen
