"""Purchases of credits and their requests to Stripe. `payments` updates them from Stripe."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.orm import Session

from models.errors import FieldError, Forbidden, InvalidInput
from models.rules.prices.pricing import PACKAGES, PRICE_LIST, Package
from models.rules.stripe import billing
from models.services.rows.queries import Position, get_owned, newest_first
from models.services.stripe import payment_methods, stripe_requests
from models.services.stripe.payments import Effect, restore_purchase, sale, sync_intent
from models.tables import Dispute, Purchase, PurchaseStatus, RequestKind, RequestStatus, StripeRequest, User

__all__ = [
    "Effect",
    "cancel_abandoned",
    "close_unasked",
    "get",
    "knows",
    "list_owned",
    "restore_purchase",
    "start",
    "sync_intent",
]


ABANDONED_AFTER = timedelta(hours=24)


class PaymentsFrozen(Forbidden):
    """The user has an open dispute of a payment, during which nothing can be bought."""

    code = "payments_frozen"

    def __init__(self) -> None:
        super().__init__("One of your payments is disputed; nothing can be bought until the dispute is settled.")


def start(
    session: Session,
    user: User,
    *,
    package_id: str | None = None,
    amount_cents: int | None = None,
    payment_method_id: str | None = None,
) -> tuple[Purchase, StripeRequest]:
    """Add a purchase of a package at its current price, and the request to Stripe for its payment.

    Args:
        session: the session of the transaction.
        user: the buyer.
        package_id: the package; None if `amount_cents` is given.
        amount_cents: the price of the package in US cents; None if `package_id` is given.
        payment_method_id: is charged at once; None: the app confirms the payment with the client secret.

    Raises:
        InvalidInput: not exactly one package is named, or it does not exist.
        NotFound: the user has no such payment method.
        PaymentsFrozen: the user has an open dispute.
    """
    package = _package(package_id, amount_cents)
    _check_not_frozen(session, user)
    method = payment_methods.stripe_id(session, user, payment_method_id) if payment_method_id else None
    purchase = Purchase(user_id=user.id, payment_method_id=method, **sale(package, PRICE_LIST))
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


def cancel_abandoned(session: Session, *, limit: int = 100) -> list[StripeRequest]:
    """Request the cancellation of at most `limit` purchases that were not paid for a day.

    The day begins again with every change of the purchase, because a failed payment may be repeated with another card.
    A request that found a payment under way, or that Stripe refused, is repeated after a day.
    """
    a_day_ago = func.now() - ABANDONED_AFTER
    recent = and_(StripeRequest.kind == RequestKind.PURCHASE_CANCEL, StripeRequest.created_at > a_day_ago)
    under_way = StripeRequest.status.in_([RequestStatus.PENDING, RequestStatus.WORKING])
    requested = select(StripeRequest.id).where(StripeRequest.subject_id == Purchase.id, or_(recent, under_way))
    abandoned = select(Purchase, User).join(User, User.id == Purchase.user_id)
    abandoned = abandoned.where(
        Purchase.status.in_([PurchaseStatus.PENDING, PurchaseStatus.REQUIRES_ACTION, PurchaseStatus.FAILED]),
        Purchase.created_at < a_day_ago,  # implied by the next condition, but in the index
        Purchase.updated_at < a_day_ago,
        ~requested.exists(),
    )
    rows = session.execute(
        abandoned.order_by(Purchase.created_at).limit(limit).with_for_update(of=Purchase, skip_locked=True)
    )
    return [
        stripe_requests.add(
            session,
            user,
            RequestKind.PURCHASE_CANCEL,
            {"payment_intent": row.payment_intent_id, "metadata": {billing.PURCHASE: str(row.id)}},
            subject_id=row.id,
        )
        for row, user in rows.tuples().all()
    ]


def close_unasked(session: Session, purchase_id: UUID) -> None:
    """Cancel a purchase for which Stripe has no payment intent."""
    row = session.get_one(Purchase, purchase_id, with_for_update=True, populate_existing=True)
    if row.payment_intent_id is None and row.status in (PurchaseStatus.PENDING, PurchaseStatus.FAILED):
        row.status, row.client_secret, row.authentication_url = PurchaseStatus.CANCELED, None, None


def get(session: Session, owner: User, purchase_id: UUID) -> Purchase:
    """A purchase of `owner`; raises `NotFound`."""
    return get_owned(session, Purchase, owner, purchase_id, what="purchase")


def list_owned(
    session: Session, owner: User, *, limit: int = 50, offset: int = 0, after: Position | None = None
) -> Sequence[Purchase]:
    """A page of `owner`'s purchases, newest first."""
    owned = select(Purchase).where(Purchase.user_id == owner.id)
    return session.scalars(newest_first(owned, Purchase, limit=limit, offset=offset, after=after)).all()


def knows(session: Session, intent_id: str) -> bool:
    """Whether a purchase has this payment intent."""
    return bool(session.scalar(select(exists().where(Purchase.payment_intent_id == intent_id))))


def _package(package_id: str | None, amount_cents: int | None) -> Package:
    field = "packageId" if package_id is not None else "amount"
    if (package_id is None) == (amount_cents is None):
        wrong = FieldError(field, "Must be given as the id of a package, or `amount` as its price, and not both.")
        raise InvalidInput("Exactly one package must be named.", errors=[wrong])
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
