"""Subscriptions: users' requests, our mirror of Stripe's subscriptions, and the tier that they grant.

A change of a subscription updates the tier of its user (`granted_tiers`).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import Conflict, FieldError, InvalidInput, NotFound, NotYet
from models.rules.prices.pricing import Tier
from models.rules.stripe import billing
from models.services.operations import alerts
from models.services.rows.queries import lock_user
from models.services.stripe import customers, granted_tiers, payment_methods, stripe_requests
from models.tables import Invoice, RequestKind, RequestStatus, StripeRequest, Subscription, User

Tiers = Mapping[str, str]  # tiers by the id of their price, from `settings.stripe.tiers`

_KNOWN = billing.WITHOUT | {billing.PAID, billing.IN_TRIAL, billing.PAST_DUE}
_LIVE = (billing.PAID, billing.IN_TRIAL, billing.PAST_DUE, "unpaid", "paused")


class ChangeUnderWay(Conflict):
    """Another change of the subscription is under way."""

    code = "change_under_way"

    def __init__(self) -> None:
        super().__init__("Another plan is being paid for at the moment. Try again when that is done.")


def start(session: Session, user: User, *, price_id: str, payment_method_id: str | None, tiers: Tiers) -> StripeRequest:
    """Request a subscription to a plan, or a change to it; a pending request for the same plan is returned instead.

    `params` has `price`, `payment_method`, `metadata`, and `upgrade_from`, the prices of lower tiers.

    Raises:
        InvalidInput: `price_id` is not the price of a plan.
        NotFound: the user has no such payment method.
        ChangeUnderWay: a request for another plan is pending.
    """
    _check_price(price_id, tiers)
    lock_user(session, user.id)
    method = payment_method_id and payment_methods.stripe_id(session, user, payment_method_id)
    if under_way := _under_way(session, user):
        if under_way.params["price"] != price_id:
            raise ChangeUnderWay
        return under_way
    params: dict[str, Any] = {
        "price": price_id,
        "payment_method": method,
        "upgrade_from": _cheaper(session, user, Tier(tiers[price_id]), tiers),
        "metadata": {billing.USER: str(user.id)},
    }
    request = stripe_requests.add(session, user, RequestKind.SUBSCRIPTION_CREATE, params)
    request.params = params | {"metadata": params["metadata"] | {billing.REQUEST: str(request.id)}}
    session.flush()
    return request


def start_update(
    session: Session, user: User, *, price_id: str, tiers: Tiers, is_preview: bool = False
) -> StripeRequest:
    """Request a change of the plan, or what it would cost; `params` has `subscription`, `price` and `upgrade`.

    Raises:
        InvalidInput: `price_id` is not the price of a plan.
        NotFound: the user has no live subscription.
        Conflict: the subscription has that price already.
    """
    _check_price(price_id, tiers)
    row = _live(session, user)
    if row.price_id == price_id:
        raise Conflict("The subscription has this price already.")
    upgrade = billing.highest(row.tier, Tier(tiers[price_id])) is not row.tier
    params = {"subscription": row.stripe_id, "price": price_id, "upgrade": upgrade}
    kind = RequestKind.SUBSCRIPTION_PREVIEW if is_preview else RequestKind.SUBSCRIPTION_UPDATE
    return stripe_requests.add(session, user, kind, params)


def start_cancel(session: Session, user: User) -> StripeRequest:
    """Request the cancellation of the subscription at the end of the paid period; raises `NotFound`."""
    params = {"subscription": _live(session, user).stripe_id, "cancel": True}
    return stripe_requests.add(session, user, RequestKind.SUBSCRIPTION_CANCEL, params)


def start_resume(session: Session, user: User) -> StripeRequest:
    """Request to resume a cancelled or paused subscription; raises `NotFound`, and `Conflict` if it is neither.

    `params` has `subscription`, `cancel` and `paused`.
    """
    row = _live(session, user)
    paused = row.status == "paused"
    if not (paused or row.cancel_at_period_end or row.cancel_at):
        raise Conflict("The subscription is not cancelled.")
    params = {"subscription": row.stripe_id, "cancel": False, "paused": paused}
    return stripe_requests.add(session, user, RequestKind.SUBSCRIPTION_RESUME, params)


def current(session: Session, user: User) -> Subscription | None:
    """The live subscription, or else one whose first payment is open; None if there is neither."""
    unended = select(Subscription).where(Subscription.user_id == user.id, Subscription.status.not_in(billing.OVER))
    best = unended.order_by(Subscription.status == "incomplete", Subscription.started_at.desc(), Subscription.id)
    return session.scalar(best.limit(1).execution_options(populate_existing=True))


def sync_subscription(
    session: Session, subscription: Mapping[str, Any], *, now: datetime, tiers: Tiers
) -> Subscription | None:
    """Update our mirror from a subscription as it is at Stripe now, and its user's tier; None if it is not ours.

    Args:
        session: the session of the transaction.
        subscription: the subscription, read from Stripe after `stripe_events.lock` on its id.
        now: the current time, aware, from which grace periods are computed.
        tiers: tiers by the id of their price.

    Raises:
        NotYet: its metadata names a user who does not exist.
    """
    user_id = _owner(session, subscription)
    if user_id is None:
        return None
    lock_user(session, user_id)
    before = session.scalar(select(Subscription).where(Subscription.stripe_id == subscription["id"]))
    values = _store(subscription, tiers, before)
    values["past_due_since"] = _past_due_since(subscription, values, before, now)
    values |= _grants(session, subscription, values, before.grants if before else Tier.FREE, now)
    row = insert(Subscription).values(stripe_id=subscription["id"], user_id=user_id, **values)
    row = row.on_conflict_do_update(index_elements=["stripe_id"], set_=values | {"updated_at": func.now()})
    synced = session.scalars(row.returning(Subscription), execution_options={"populate_existing": True}).one()
    _warn(session, synced, tiers)
    granted_tiers.update_tier(session, user_id)
    if synced.status in (*_LIVE, "incomplete"):
        customers.close_if_deleted(session, user_id)  # it may have been created while its user deleted the account
    return synced


def end_grace(session: Session, now: datetime) -> Sequence[UUID]:
    """End grants whose grace period or paid period is over; returns the users."""
    is_over = Subscription.grants_until <= now
    users = sorted(set(session.scalars(select(Subscription.user_id).where(is_over))))
    for user_id in users:
        lock_user(session, user_id)
        ended = update(Subscription).where(Subscription.user_id == user_id, is_over)
        values = {"grants": Tier.FREE, "grants_until": None}
        session.execute(ended.values(values).execution_options(synchronize_session="fetch"))
        granted_tiers.update_tier(session, user_id)
    return users


def _owner(session: Session, subscription: Mapping[str, Any]) -> UUID | None:
    """The user of a subscription, by our mirror, its customer, or its metadata."""
    known = session.scalar(select(Subscription.user_id).where(Subscription.stripe_id == subscription["id"]))
    if owner := known or customers.owner(session, billing.ref(subscription["customer"])):
        return owner
    claimed = customers.our_id(subscription, billing.USER)
    if claimed is None:
        return None
    if session.get(User, claimed) is None:
        raise NotYet(f"The subscription {subscription['id']} is for a user who does not exist here.")
    return claimed


def _store(subscription: Mapping[str, Any], tiers: Tiers, before: Subscription | None) -> dict[str, Any]:
    item = billing.plan_item(subscription, tiers, before.item_id if before else None)
    price = billing.ref(item["price"]) or ""
    known = tiers.get(price)
    return {
        "customer_id": billing.ref(subscription["customer"]),
        "price_id": price,
        "item_id": item["id"],
        # A price that is not sold any more keeps its tier.
        "tier": Tier(known) if known else before.tier if before and before.price_id == price else Tier.FREE,
        "status": subscription["status"],
        "current_period_start": time_of(item.get("current_period_start")),
        "current_period_end": time_of(item.get("current_period_end")),
        "cancel_at_period_end": bool(subscription.get("cancel_at_period_end")),
        "cancel_at": time_of(subscription.get("cancel_at")),
        "canceled_at": time_of(subscription.get("canceled_at")),
        "ended_at": time_of(subscription.get("ended_at")),
        "trial_end": time_of(subscription.get("trial_end")),
        "latest_invoice_id": billing.ref(subscription.get("latest_invoice")),
        "started_at": time_of(subscription.get("start_date") or subscription["created"]),
    }


def _past_due_since(
    subscription: Mapping[str, Any], values: Mapping[str, Any], before: Subscription | None, now: datetime
) -> datetime | None:
    """Since when a subscription is past due: since the start of the unpaid period, however late we learn of it.

    A change in the middle of a period is past due since its own invoice.
    """
    if values["status"] != billing.PAST_DUE:
        return None
    since = values["current_period_start"] or now
    invoice = subscription.get("latest_invoice")
    if isinstance(invoice, Mapping) and invoice.get("billing_reason") == "subscription_update":
        since = time_of(invoice["created"]) or since
    return min(since, now, (before and before.past_due_since) or now)


def _grants(
    session: Session, subscription: Mapping[str, Any], values: Mapping[str, Any], before: Tier, now: datetime
) -> dict[str, Any]:
    """The tier that a subscription grants, and when that ends unless a payment is reported."""
    status, until = values["status"], None
    if values["past_due_since"]:
        until = values["past_due_since"] + billing.GRACE
    elif billing.collects_nothing(subscription):
        until = values["current_period_end"] if _is_paid(session, subscription) else now
    elif status not in _KNOWN and values["current_period_end"]:
        until = values["current_period_end"] + billing.GRACE
    is_over = until is not None and until <= now
    tier = billing.entitlement(status, values["tier"], before, in_grace=not is_over)
    if is_over or tier is Tier.FREE:
        return {"grants": Tier.FREE, "grants_until": None}
    return {"grants": tier, "grants_until": until}


def _is_paid(session: Session, subscription: Mapping[str, Any]) -> bool:
    """Whether the latest invoice is paid; by our mirror if the subscription has only its id."""
    invoice = subscription.get("latest_invoice")
    if isinstance(invoice, Mapping):
        return bool(invoice.get("status") == "paid")
    return session.scalar(select(Invoice.status).where(Invoice.stripe_id == invoice)) == "paid"


def _warn(session: Session, row: Subscription, tiers: Tiers) -> None:
    """Raise alerts for states that a person has to decide."""
    if row.status not in _KNOWN:
        detail = f"{row.stripe_id} has the unknown status {row.status}: it grants {row.grants}, and nothing new."
        key = f"status:{row.stripe_id}:{row.status}"
        alerts.add(session, kind="unknown_status", subject=row.stripe_id, detail=detail, key=key, user_id=row.user_id)
    if row.price_id not in tiers:
        detail = f"{row.stripe_id} has the price {row.price_id}, which is not one of ours: it counts as {row.tier}."
        key = f"price:{row.stripe_id}:{row.price_id}"
        alerts.add(session, kind="unknown_price", subject=row.stripe_id, detail=detail, key=key, user_id=row.user_id)
    live = session.scalars(
        select(Subscription.stripe_id)
        .where(Subscription.user_id == row.user_id, Subscription.status.in_(_LIVE))
        .order_by(Subscription.stripe_id)
    ).all()
    if len(live) > 1:
        detail = f"One user pays for {' and '.join(live)}."
        key = f"two:{row.user_id}:{':'.join(live)}"
        alerts.add(session, kind="two_subscriptions", subject=live[0], detail=detail, key=key, user_id=row.user_id)


def _live(session: Session, user: User) -> Subscription:
    live = select(Subscription).where(Subscription.user_id == user.id, Subscription.status.in_(_LIVE))
    row = session.scalar(live.order_by(Subscription.started_at.desc()).limit(1))
    if row is None:
        raise NotFound("subscription")
    return row


def _under_way(session: Session, user: User) -> StripeRequest | None:
    pending = select(StripeRequest).where(
        StripeRequest.user_id == user.id,
        StripeRequest.kind == RequestKind.SUBSCRIPTION_CREATE,
        StripeRequest.status.in_([RequestStatus.PENDING, RequestStatus.WORKING]),
    )
    return session.scalar(pending)


def _cheaper(session: Session, user: User, tier: Tier, tiers: Tiers) -> list[str]:
    """The prices from which `tier` is an upgrade, including old prices that the user still pays."""
    paid = select(Subscription.price_id, Subscription.tier).where(Subscription.user_id == user.id)
    known = dict(session.execute(paid).tuples().all()) | {price: Tier(name) for price, name in tiers.items()}
    return sorted(price for price, other in known.items() if other is not tier and billing.lowest(other, tier) is other)


def _check_price(price_id: str, tiers: Tiers) -> None:
    if price_id not in tiers:
        wrong = FieldError("priceId", "Must be the price of a plan.")
        raise InvalidInput("There is no such plan.", errors=[wrong])


def time_of(seconds: int | None) -> datetime | None:
    """Stripe's time in seconds as an aware datetime."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
