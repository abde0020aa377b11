"""The life cycle of subscriptions: activation, renewal, dunning, expiry, the end."""

from calendar import monthrange
from datetime import UTC, datetime

from simulators.stripe.billing import invoice_shape, invoicing
from simulators.stripe.payments import payments
from simulators.stripe.state.account_state import AccountState, StripeObject

HOUR, DAY = 3600, 24 * 3600
FIRST_PAYMENT_WITHIN = 23 * HOUR
LIVE = ("active", "past_due", "unpaid", "trialing")
_UPDATED = "customer.subscription.updated"


def item_of(subscription: StripeObject) -> StripeObject:
    """The one item; the simulator allows one price per subscription."""
    found: StripeObject = subscription["items"]["data"][0]
    return found


def price_of(world: AccountState, subscription: StripeObject) -> StripeObject:
    return world.get("price", item_of(subscription)["price"]["id"])


def recurring_line(world: AccountState, subscription: StripeObject) -> StripeObject:
    """The invoice line for the present period."""
    item, price = item_of(subscription), price_of(world, subscription)
    name = world.get("product", price["product"])["name"]
    amount = price["unit_amount"] * item["quantity"]
    text = f"{item['quantity']} × {name} (at ${price['unit_amount'] / 100:.2f} / {price['recurring']['interval']})"
    period = (item["current_period_start"], item["current_period_end"])
    return invoice_shape.line(item, price, amount, period, text)


def period_end(world: AccountState, subscription: StripeObject, start: int) -> int:
    """When a period that begins at `start` ends, on the day of the billing anchor."""
    interval, anchor = price_of(world, subscription)["recurring"]["interval"], subscription["billing_cycle_anchor"]
    if interval in ("day", "week"):
        return start + (DAY if interval == "day" else 7 * DAY)
    step, count = (12 if interval == "year" else 1), 1
    while add_months(anchor, step * count) <= start:
        count += 1
    return add_months(anchor, step * count)


def set_period(world: AccountState, subscription: StripeObject, start: int, end: int) -> None:
    """Begin a period, and schedule its end."""
    item = item_of(subscription) | {"current_period_start": start, "current_period_end": end}
    subscription["items"] = subscription["items"] | {"data": [item]}
    world.schedule(end, renew, subscription["id"], end)
    if end - 7 * DAY > start:
        world.schedule(end - 7 * DAY, _announce, subscription["id"], end)


def renew(world: AccountState, subscription_id: str, due: int) -> None:
    """End the subscription at the end of its period, or begin the next period with a draft invoice."""
    subscription = world.get("subscription", subscription_id)
    if subscription["status"] not in LIVE or item_of(subscription)["current_period_end"] != due:
        return
    if subscription["cancel_at_period_end"]:
        end(world, subscription, "cancellation_requested", keep_canceled_at=True)
        return
    with world.changing(subscription, _UPDATED):
        if subscription["status"] == "trialing":
            subscription |= {"status": "active", "billing_cycle_anchor": due}
        set_period(world, subscription, due, period_end(world, subscription, due))
        pending = world.hidden[subscription_id].pop("pending", [])
        invoice = invoicing.draft(
            world, subscription, [*pending, recurring_line(world, subscription)], "subscription_cycle"
        )
        invoice["automatically_finalizes_at"] = world.now() + HOUR
        if subscription["status"] == "unpaid":
            invoice |= {"auto_advance": False, "automatically_finalizes_at": None}
        else:
            world.schedule(world.now() + HOUR, advance_invoice, invoice["id"])


def advance_invoice(world: AccountState, invoice_id: str) -> None:
    """Finalize the draft an hour later, and charge the card."""
    invoice = world.get("invoice", invoice_id)
    subscription = invoicing.subscription_of(world, invoice)
    if invoice["status"] != "draft" or subscription["status"] not in LIVE:
        return
    pause = (subscription["pause_collection"] or {}).get("behavior")
    if pause == "keep_as_draft":
        return
    invoicing.finalize(world, invoice)
    if invoice["status"] != "open":
        return
    if pause:
        invoicing.close_unpaid(world, invoice, "void" if pause == "void" else "uncollectible")
    else:
        invoicing.collect(world, invoice)


def invoice_settled(world: AccountState, invoice: StripeObject, intent: StripeObject | None) -> None:
    """Reactivate the subscription of a paid or written-off invoice, if it is the latest one."""
    subscription = invoicing.subscription_of(world, invoice)
    if subscription["latest_invoice"] != invoice["id"] or subscription["status"] in ("canceled", "incomplete_expired"):
        return
    settings = subscription["payment_settings"]
    with world.changing(subscription, _UPDATED):
        if intent and settings["save_default_payment_method"] == "on_subscription":
            subscription["default_payment_method"] = intent["payment_method"]
        if subscription["status"] in ("incomplete", "past_due", "unpaid"):
            subscription["status"] = "active"
        elif subscription["status"] == "paused" and world.hidden[invoice["id"]].get("resumes"):
            subscription |= {"status": "active", "status_details": None}
    if subscription["status"] == "active" and world.hidden[invoice["id"]].pop("resumes", None):
        world.emit("customer.subscription.resumed", subscription)


def invoice_failed(world: AccountState, invoice: StripeObject) -> None:
    """Dunning: make the subscription past due, and schedule the next try, if there is one."""
    subscription = invoicing.subscription_of(world, invoice)
    if subscription["status"] not in LIVE:
        return
    if subscription["latest_invoice"] == invoice["id"] and subscription["status"] in ("active", "trialing"):
        with world.changing(subscription, _UPDATED):
            subscription["status"] = "past_due"
    if (invoice["next_payment_attempt"] or 0) > world.now():
        return  # the customer tried in between; the plan stays
    tries = world.hidden[invoice["id"]].setdefault("tries", 0)
    world.hidden[invoice["id"]]["tries"] += 1
    if tries < len(world.dunning_days):
        at = world.now() + world.dunning_days[tries] * DAY
        invoice["next_payment_attempt"] = at
        world.schedule(at, _retry, invoice["id"], at)
    else:
        invoice |= {"next_payment_attempt": None, "auto_advance": False}
        world.schedule(world.now(), _give_up, subscription["id"])


def _retry(world: AccountState, invoice_id: str, at: int) -> None:
    invoice = world.get("invoice", invoice_id)
    if invoice["status"] == "open" and invoice["next_payment_attempt"] == at:
        intent = invoicing.intent_of(world, invoice)
        if intent and intent["status"] == "requires_action":
            intent |= {"status": "requires_payment_method", "next_action": None}
        invoicing.collect(world, invoice)


def _give_up(world: AccountState, subscription_id: str) -> None:
    subscription = world.get("subscription", subscription_id)
    if subscription["status"] != "past_due":
        return
    if world.dunning_end == "canceled":
        end(world, subscription, "payment_failed")
    else:
        with world.changing(subscription, _UPDATED):
            subscription["status"] = world.dunning_end


def expire(world: AccountState, subscription_id: str) -> None:
    """Expire a subscription whose first invoice was not paid within 23 hours."""
    subscription = world.get("subscription", subscription_id)
    if subscription["status"] != "incomplete":
        return
    with world.changing(subscription, _UPDATED):
        subscription |= {"status": "incomplete_expired", "ended_at": world.now()}
    invoice = world.get("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open":
        invoicing.close_unpaid(world, invoice, "void")


def end(world: AccountState, subscription: StripeObject, reason: str, *, keep_canceled_at: bool = False) -> None:
    """Cancel the subscription now."""
    if subscription["status"] == "incomplete":
        expire(world, subscription["id"])
        return
    canceled_at = subscription["canceled_at"] if keep_canceled_at else world.now()
    details = subscription["cancellation_details"] | {"reason": reason}
    subscription |= {"status": "canceled", "canceled_at": canceled_at, "ended_at": world.now()}
    subscription |= {"cancellation_details": details, "status_details": None, "pause_collection": None}
    world.emit("customer.subscription.deleted", subscription)
    for invoice in world.all("invoice", customer=subscription["customer"]):
        if world.hidden[invoice["id"]]["subscription"] == subscription["id"] and invoice["status"] in ("draft", "open"):
            invoice |= {"auto_advance": False, "next_payment_attempt": None}


def before_deletion(world: AccountState, customer: StripeObject) -> None:
    """End the subscriptions of a deleted customer."""
    for subscription in world.all("subscription", customer=customer["id"]):
        if subscription["status"] not in ("canceled", "incomplete_expired"):
            end(world, subscription, "cancellation_requested")
    for intent in world.all("payment_intent", customer=customer["id"]):
        if intent["status"] in payments.OPEN:
            payments.cancel(world, intent, None)


def _announce(world: AccountState, subscription_id: str, period_end: int) -> None:
    subscription = world.get("subscription", subscription_id)
    if subscription["status"] not in LIVE or item_of(subscription)["current_period_end"] != period_end:
        return
    if subscription["cancel_at_period_end"]:
        return
    lines = [*world.hidden[subscription_id].get("pending", []), recurring_line(world, subscription)]
    upcoming = {"object": "invoice", "created": period_end, "livemode": False, "metadata": {}}
    world.emit("invoice.upcoming", upcoming | invoice_shape.shape(world, subscription, lines, "upcoming"))


def add_months(start: int, months: int) -> int:
    """The same day and time so many months later, or the month's last day."""
    moment = datetime.fromtimestamp(start, UTC)
    index = moment.month - 1 + months
    year, month = moment.year + index // 12, index % 12 + 1
    day = min(moment.day, monthrange(year, month)[1])
    return int(moment.replace(year=year, month=month, day=day).timestamp())
