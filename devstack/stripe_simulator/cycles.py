"""What time and payments do to subscriptions: activation, renewal, dunning, expiry, the end."""

from devstack.stripe_simulator import invoice_shape, invoicing, payments
from devstack.stripe_simulator.months import DAY, HOUR, add_months
from devstack.stripe_simulator.world import StripeObject, World

FIRST_PAYMENT_WITHIN = 23 * HOUR
LIVE = ("active", "past_due", "unpaid", "trialing")
_UPDATED = "customer.subscription.updated"


def item_of(subscription: StripeObject) -> StripeObject:
    """The one item; the simulator sells one price per subscription."""
    found: StripeObject = subscription["items"]["data"][0]
    return found


def price_of(world: World, subscription: StripeObject) -> StripeObject:
    return world.get("price", item_of(subscription)["price"]["id"])


def recurring_line(world: World, subscription: StripeObject) -> StripeObject:
    """The line that pays for the present period."""
    item, price = item_of(subscription), price_of(world, subscription)
    name = world.get("product", price["product"])["name"]
    amount = price["unit_amount"] * item["quantity"]
    text = f"{item['quantity']} × {name} (at ${price['unit_amount'] / 100:.2f} / {price['recurring']['interval']})"
    period = (item["current_period_start"], item["current_period_end"])
    return invoice_shape.line(item, price, amount, period, text)


def period_end(world: World, subscription: StripeObject, start: int) -> int:
    """When a period that begins at `start` ends, on the day of the billing anchor."""
    interval, anchor = price_of(world, subscription)["recurring"]["interval"], subscription["billing_cycle_anchor"]
    if interval in ("day", "week"):
        return start + (DAY if interval == "day" else 7 * DAY)
    step, count = (12 if interval == "year" else 1), 1
    while add_months(anchor, step * count) <= start:
        count += 1
    return add_months(anchor, step * count)


def set_period(world: World, subscription: StripeObject, start: int, end: int) -> None:
    """Begin a period, and see to what comes at its end."""
    item = item_of(subscription) | {"current_period_start": start, "current_period_end": end}
    subscription["items"] = subscription["items"] | {"data": [item]}
    world.schedule(end, renew, subscription["id"], end)
    if end - 7 * DAY > start:
        world.schedule(end - 7 * DAY, _announce, subscription["id"], end)


def renew(world: World, subscription_id: str, due: int) -> None:
    """The period is over: end the subscription, or begin the next period with a draft invoice."""
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


def advance_invoice(world: World, invoice_id: str) -> None:
    """An hour later the draft is finalized, and the card charged."""
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


def invoice_settled(world: World, invoice: StripeObject, intent: StripeObject | None) -> None:
    """A paid (or written off) invoice puts its subscription in order, if it is the latest one."""
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


def invoice_failed(world: World, invoice: StripeObject) -> None:
    """Dunning: the subscription is past due, and the card is tried again some days later, or no more."""
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


def _retry(world: World, invoice_id: str, at: int) -> None:
    invoice = world.get("invoice", invoice_id)
    if invoice["status"] == "open" and invoice["next_payment_attempt"] == at:
        intent = invoicing.intent_of(world, invoice)
        if intent and intent["status"] == "requires_action":
            intent |= {"status": "requires_payment_method", "next_action": None}
        invoicing.collect(world, invoice)


def _give_up(world: World, subscription_id: str) -> None:
    subscription = world.get("subscription", subscription_id)
    if subscription["status"] != "past_due":
        return
    if world.dunning_end == "canceled":
        end(world, subscription, "payment_failed")
    else:
        with world.changing(subscription, _UPDATED):
            subscription["status"] = world.dunning_end


def expire(world: World, subscription_id: str) -> None:
    """Nobody paid the first invoice within 23 hours."""
    subscription = world.get("subscription", subscription_id)
    if subscription["status"] != "incomplete":
        return
    with world.changing(subscription, _UPDATED):
        subscription |= {"status": "incomplete_expired", "ended_at": world.now()}
    invoice = world.get("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open":
        invoicing.close_unpaid(world, invoice, "void")


def end(world: World, subscription: StripeObject, reason: str, *, keep_canceled_at: bool = False) -> None:
    """Cancel it now."""
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


def before_deletion(world: World, customer: StripeObject) -> None:
    """A deleted customer's subscriptions end."""
    for subscription in world.all("subscription", customer=customer["id"]):
        if subscription["status"] not in ("canceled", "incomplete_expired"):
            end(world, subscription, "cancellation_requested")
    for intent in world.all("payment_intent", customer=customer["id"]):
        if intent["status"] in payments.OPEN:
            payments.cancel(world, intent, None)


def _announce(world: World, subscription_id: str, period_end: int) -> None:
    subscription = world.get("subscription", subscription_id)
    if subscription["status"] not in LIVE or item_of(subscription)["current_period_end"] != period_end:
        return
    if subscription["cancel_at_period_end"]:
        return
    lines = [*world.hidden[subscription_id].get("pending", []), recurring_line(world, subscription)]
    upcoming = {"object": "invoice", "created": period_end, "livemode": False, "metadata": {}}
    world.emit("invoice.upcoming", upcoming | invoice_shape.shape(world, subscription, lines, "upcoming"))
