"""What users subscribe to: their wishes, our mirror of what Stripe has, and the tier that follows from it.

The tier of a user is always the best that a subscription of theirs grants now. It changes nowhere but here.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import Conflict, FieldError, InvalidInput, NotFound
from models.rules import billing
from models.rules.pricing import Tier
from models.services import alerts, customers, payment_methods, stripe_requests
from models.services.locks import lock_user
from models.services.waiting import NotYet
from models.stripe_request import RequestKind, RequestStatus, StripeRequest
from models.subscription import Subscription
from models.user import User

Tiers = Mapping[str, str]  # the tier of each price of ours: `settings.stripe.tiers`

_KNOWN = billing.WITHOUT | {billing.PAID, billing.IN_TRIAL, billing.PAST_DUE}
_LIVE = (billing.PAID, billing.IN_TRIAL, billing.PAST_DUE, "unpaid", "paused")


class AlreadySubscribed(Conflict):
    """One user, one subscription."""

    code = "already_subscribed"

    def __init__(self) -> None:
        super().__init__("There is a subscription already, or one is being made. Change that one instead.")


def start(session: Session, user: User, *, price_id: str, payment_method_id: str | None, tiers: Tiers) -> StripeRequest:
    """Wish to subscribe; `params` has `price`, `payment_method`, `metadata` and `replaces`.

    `replaces` names unfinished subscriptions to be canceled first if they still are `incomplete`.

    Raises:
        InvalidInput: no price of ours.
        NotFound: no payment method of this user's.
        AlreadySubscribed: one is live, or under way.
    """
    _check_price(price_id, tiers)
    lock_user(session, user.id)
    mine = select(Subscription).where(Subscription.user_id == user.id)
    open_request = select(StripeRequest.id).where(
        StripeRequest.user_id == user.id,
        StripeRequest.kind == RequestKind.SUBSCRIPTION_CREATE,
        StripeRequest.status.in_([RequestStatus.PENDING, RequestStatus.WORKING]),
    )
    if session.scalar(mine.where(Subscription.status.in_(_LIVE)).limit(1)) or session.scalar(open_request):
        raise AlreadySubscribed
    unfinished = session.scalars(mine.where(Subscription.status == "incomplete"))
    params: dict[str, Any] = {
        "price": price_id,
        "payment_method": payment_method_id and payment_methods.stripe_id(session, user, payment_method_id),
        "replaces": [row.stripe_id for row in unfinished],
        "metadata": {billing.USER: str(user.id)},
    }
    request = stripe_requests.add(session, user, RequestKind.SUBSCRIPTION_CREATE, params)
    request.params = params | {"metadata": params["metadata"] | {billing.REQUEST: str(request.id)}}
    session.flush()
    return request


def start_update(session: Session, user: User, *, price_id: str, tiers: Tiers) -> StripeRequest:
    """Wish to change the price; `params` has `subscription`, `price` and `upgrade`.

    Raises `InvalidInput` for no price of ours, `NotFound` without a live subscription, `Conflict` when it has that
    price already.
    """
    _check_price(price_id, tiers)
    row = _live(session, user)
    if row.price_id == price_id:
        raise Conflict("The subscription has this price already.")
    upgrade = billing.highest(row.tier, Tier(tiers[price_id])) is not row.tier
    params = {"subscription": row.stripe_id, "price": price_id, "upgrade": upgrade}
    return stripe_requests.add(session, user, RequestKind.SUBSCRIPTION_UPDATE, params)


def start_cancel(session: Session, user: User) -> StripeRequest:
    """Wish to end the subscription with the period that is paid for; raises `NotFound`."""
    params = {"subscription": _live(session, user).stripe_id, "cancel": True}
    return stripe_requests.add(session, user, RequestKind.SUBSCRIPTION_CANCEL, params)


def start_resume(session: Session, user: User) -> StripeRequest:
    """Wish to go on after all, or after a pause (`paused` in `params`); raises `NotFound`, `Conflict` if it goes on."""
    row = _live(session, user)
    paused = row.status == "paused"
    if not (paused or row.cancel_at_period_end or row.cancel_at):
        raise Conflict("The subscription goes on anyway.")
    params = {"subscription": row.stripe_id, "cancel": False, "paused": paused}
    return stripe_requests.add(session, user, RequestKind.SUBSCRIPTION_RESUME, params)


def current(session: Session, user: User) -> Subscription | None:
    """The subscription that counts: the live one, else one whose first payment is open; None when there is neither."""
    mine = select(Subscription).where(Subscription.user_id == user.id, Subscription.status.not_in(billing.OVER))
    best = mine.order_by(Subscription.status == "incomplete", Subscription.started_at.desc(), Subscription.id)
    return session.scalar(best.limit(1).execution_options(populate_existing=True))


def sync_subscription(
    session: Session, subscription: Mapping[str, Any], *, now: datetime, tiers: Tiers
) -> Subscription | None:
    """Follow a subscription as Stripe has it now, and the tier of its user; None when it is nobody's of ours.

    Args:
        subscription: read from Stripe after `billing_events.lock` on its id.
        now: aware; from when a grace counts.

    Raises:
        NotYet: its user should be here, and is not.
    """
    user_id = _owner(session, subscription)
    if user_id is None:
        return None
    lock_user(session, user_id)
    before = session.scalar(select(Subscription).where(Subscription.stripe_id == subscription["id"]))
    values = _mirror(subscription, tiers, before)
    values["past_due_since"] = _past_due_since(values["status"], before, now)
    in_grace = values["past_due_since"] is not None and now < values["past_due_since"] + billing.GRACE
    granted = before.grants if before else Tier.FREE
    values["grants"] = billing.entitlement(values["status"], values["tier"], granted, in_grace=in_grace)
    row = insert(Subscription).values(stripe_id=subscription["id"], user_id=user_id, **values)
    row = row.on_conflict_do_update(index_elements=["stripe_id"], set_=values | {"updated_at": func.now()})
    synced = session.scalars(row.returning(Subscription), execution_options={"populate_existing": True}).one()
    _warn(session, synced, tiers)
    _set_tier(session, user_id)
    return synced


def end_grace(session: Session, now: datetime) -> Sequence[UUID]:
    """Let go of what has been past due for longer than the grace; answers the users whose tier may have changed.

    So ends, with the period that was paid for, what a status that we do not know has kept.
    """
    over = Subscription.past_due_since <= now - billing.GRACE
    unknown = Subscription.status.not_in(_KNOWN) & (Subscription.current_period_end <= now - billing.GRACE)
    candidates = select(Subscription.user_id).where(
        Subscription.status.not_in(billing.OVER), Subscription.grants != Tier.FREE, over | unknown
    )
    users = sorted(set(session.scalars(candidates)))
    for user_id in users:
        lock_user(session, user_id)
        ended = update(Subscription).where(Subscription.user_id == user_id, over | unknown)
        session.execute(ended.values(grants=Tier.FREE).execution_options(synchronize_session="fetch"))
        _set_tier(session, user_id)
    return users


def _owner(session: Session, subscription: Mapping[str, Any]) -> UUID | None:
    """Whose it is: known already, by its customer, or by the id of ours that it carries."""
    known = session.scalar(select(Subscription.user_id).where(Subscription.stripe_id == subscription["id"]))
    if owner := known or customers.owner(session, billing.ref(subscription["customer"])):
        return owner
    claimed = customers.our_id(subscription, billing.USER)
    if claimed is None:
        return None
    if session.get(User, claimed) is None:
        raise NotYet(f"The subscription {subscription['id']} is for a user who is not here.")
    return claimed


def _mirror(subscription: Mapping[str, Any], tiers: Tiers, before: Subscription | None) -> dict[str, Any]:
    item = subscription["items"]["data"][0]
    price = billing.ref(item["price"]) or ""
    known = tiers.get(price)
    return {
        "customer_id": billing.ref(subscription["customer"]),
        "price_id": price,
        "item_id": item["id"],
        # A price of another time keeps the tier that it had when it was ours.
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


def _past_due_since(status: str, before: Subscription | None, now: datetime) -> datetime | None:
    if status != billing.PAST_DUE:
        return None
    return (before.past_due_since if before else None) or now


def _warn(session: Session, row: Subscription, tiers: Tiers) -> None:
    """Tell operators what no rule decides."""
    if row.status not in _KNOWN:
        detail = f"{row.stripe_id} has the unknown status {row.status}: it grants {row.grants}, and nothing new."
        key = f"status:{row.stripe_id}:{row.status}"
        alerts.add(session, kind="unknown_status", subject=row.stripe_id, detail=detail, key=key, user_id=row.user_id)
    if row.price_id not in tiers:
        detail = f"{row.stripe_id} has the price {row.price_id}, which is none of ours: it counts as {row.tier}."
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


def _set_tier(session: Session, user_id: UUID) -> None:
    grants = session.scalars(select(Subscription.grants).where(Subscription.user_id == user_id))
    tier = billing.highest(*grants)
    changed = update(User).where(User.id == user_id, User.subscription_tier != tier).values(subscription_tier=tier)
    session.execute(changed.execution_options(synchronize_session="fetch"))


def _live(session: Session, user: User) -> Subscription:
    mine = select(Subscription).where(Subscription.user_id == user.id, Subscription.status.in_(_LIVE))
    row = session.scalar(mine.order_by(Subscription.started_at.desc()).limit(1))
    if row is None:
        raise NotFound("subscription")
    return row


def _check_price(price_id: str, tiers: Tiers) -> None:
    if price_id not in tiers:
        wrong = FieldError("priceId", "Must be the price of a plan.")
        raise InvalidInput("There is no such plan.", errors=[wrong])


def time_of(seconds: int | None) -> datetime | None:
    """Stripe's seconds as an aware time."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
