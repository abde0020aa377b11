"""Differences between Stripe's objects and our rows that a sync of the object does not repair.

A sync updates what may change. Final facts, such as the payment of a purchase, are compared instead.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.rules.stripe import billing
from models.rules.stripe.billing import Subject
from models.services.stripe import customers
from models.services.stripe.payments import package_of
from models.tables import CreditTransaction, CreditType, Invoice, PaymentMethod, Purchase, PurchaseStatus, Subscription


@dataclass(frozen=True)
class Disagreement:
    """A difference that a person has to decide."""

    problem: str  # the kind of difference, such as `amount_differs`
    detail: str  # a sentence for the operator


def disagreements(session: Session, subject: Subject, found: Mapping[str, Any]) -> list[Disagreement]:
    """Compare an object as it is at Stripe with our rows; empty if they agree."""
    compare = _COMPARE.get(subject)
    return compare(session, found) if compare else []


def _payment(session: Session, intent: Mapping[str, Any]) -> list[Disagreement]:
    """Compare a paid purchase and its grant with the payment."""
    purchase = session.scalar(select(Purchase).where(Purchase.payment_intent_id == intent["id"]))
    if purchase is None or purchase.status is not PurchaseStatus.SUCCEEDED:
        return []
    if intent["status"] != "succeeded":
        detail = f"The purchase {purchase.id} is paid here; its payment is {intent['status']} at Stripe."
        return [Disagreement("paid_only_here", detail)]
    compared = (
        ("amount_differs", intent.get("amount_received"), purchase.amount_cents),
        ("currency_differs", intent.get("currency"), purchase.currency),
        ("customer_differs", billing.ref(intent.get("customer")), purchase.customer_id),
        ("purchase_differs", customers.our_id(intent, billing.PURCHASE), purchase.id),
        ("owner_differs", customers.our_id(intent, billing.USER), purchase.user_id),
    )
    wrong = [_differs(problem, purchase, theirs, ours) for problem, theirs, ours in compared if theirs != ours]
    return wrong + _grant(session, purchase, intent)


def _grant(session: Session, purchase: Purchase, intent: Mapping[str, Any]) -> list[Disagreement]:
    """Compare the credits of the package that the payment names with those of the purchase and of the ledger."""
    package = package_of(intent)
    if package is None:
        return []
    sold = Decimal(package.credits + package.bonus)
    credit = (CreditTransaction.purchase_id == purchase.id, CreditTransaction.type == CreditType.CREDIT)
    granted = session.scalars(
        select(func.coalesce(func.sum(CreditTransaction.amount), 0)).where(
            *credit, CreditTransaction.source == "purchase"
        )
    ).one()
    wrong = []
    if purchase.granted != sold:
        wrong.append(_differs("package_differs", purchase, f"{sold} credits", f"{purchase.granted} credits"))
    if granted != sold:
        wrong.append(_differs("grant_differs", purchase, f"{sold} credits", f"{granted} credits in the ledger"))
    return wrong


def _differs(problem: str, purchase: Purchase, theirs: Any, ours: Any) -> Disagreement:
    return Disagreement(problem, f"The purchase {purchase.id}: {theirs} at Stripe, {ours} here.")


def _subscription(session: Session, subscription: Mapping[str, Any]) -> list[Disagreement]:
    row = session.scalar(select(Subscription).where(Subscription.stripe_id == subscription["id"]))
    return _owner(session, subscription, subscription, row.user_id) if row else []


def _invoice(session: Session, invoice: Mapping[str, Any]) -> list[Disagreement]:
    row = session.scalar(select(Invoice).where(Invoice.stripe_id == invoice["id"]))
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    return _owner(session, invoice, details, row.user_id) if row else []


def _owner(
    session: Session, stripe_object: Mapping[str, Any], metadata: Mapping[str, Any], user_id: UUID
) -> list[Disagreement]:
    """Compare our owner with the user in the metadata or, without one, with the user of the customer."""
    customer = billing.ref(stripe_object.get("customer"))
    named = customers.our_id(metadata, billing.USER) or customers.owner(session, customer)
    if named in (None, user_id):
        return []
    return [Disagreement("owner_differs", f"It belongs to the user {named} at Stripe, and to {user_id} here.")]


def _customer(session: Session, customer: Mapping[str, Any]) -> list[Disagreement]:
    """Compare the user of a customer with the user in its metadata, for whom it was created."""
    owner, named = customers.owner(session, customer["id"]), customers.our_id(customer, billing.USER)
    if owner is None or named in (None, owner):
        return []
    return [Disagreement("owner_differs", f"It was created for the user {named}, and is the customer of {owner} here.")]


def _payment_method(session: Session, method: Mapping[str, Any]) -> list[Disagreement]:
    row = session.scalar(select(PaymentMethod).where(PaymentMethod.stripe_id == method["id"]))
    return _owner(session, method, {}, row.user_id) if row else []


_COMPARE: Mapping[Subject, Callable[[Session, Mapping[str, Any]], list[Disagreement]]] = {
    Subject.PAYMENT: _payment,
    Subject.SUBSCRIPTION: _subscription,
    Subject.INVOICE: _invoice,
    Subject.CUSTOMER: _customer,
    Subject.PAYMENT_METHOD: _payment_method,
}
