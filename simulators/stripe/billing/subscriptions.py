"""API endpoints of subscriptions: one price each, charged automatically."""

from simulators.stripe.billing import catalog, cycles, invoicing, proration
from simulators.stripe.billing.cycles import DAY
from simulators.stripe.billing.subscription_shape import new_subscription, payment_settings
from simulators.stripe.payments import payment_methods
from simulators.stripe.payments.cards import AUTHENTICATION_REQUIRED, card_error
from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import StripeError, invalid
from simulators.stripe.state.paging import INCLUDABLE, listed, page
from simulators.stripe.state.parameters import Params, merge_metadata
from simulators.stripe.state.routing import endpoint

_BOTH = "items metadata default_payment_method payment_behavior payment_settings cancel_at_period_end description "
_BOTH += "off_session proration_behavior collection_method trial_end"
_CREATE = f"{_BOTH} customer trial_period_days billing_mode"
_UPDATE = f"{_BOTH} proration_date billing_cycle_anchor pause_collection cancellation_details"


@endpoint("POST", "/v1/subscriptions", "SubscriptionCreateParams", _CREATE)
def create(world: AccountState, params: Params) -> StripeObject:
    customer = world.get("customer", params.get("customer", ""), "customer")
    _refuse_unsupported(params)
    items = params.get("items") or []
    if len(items) != 1 or "price" not in items[0]:
        raise invalid("The Stripe simulator sells one price per subscription.", param="items")
    price = catalog.price_for_sale(world, items[0]["price"])
    method = _method(world, customer["id"], params)
    behavior = params.get("payment_behavior", "allow_incomplete")
    trial_end = _trial_end(world, params)
    if behavior == "error_if_incomplete" and trial_end is None:
        _want_payable(world, method or customer["invoice_settings"]["default_payment_method"])
    made = new_subscription(world, customer, price, items[0].get("quantity", 1), params, method)
    _begin(world, made, behavior, trial_end)
    return made


def _begin(world: AccountState, made: StripeObject, behavior: str, trial_end: int | None) -> None:
    """Begin the first period with its invoice, which is charged at once or left to the client."""
    now = world.now()
    end = trial_end or cycles.period_end(world, made, now)
    cycles.set_period(world, made, now, end)
    lines = [cycles.recurring_line(world, made)]
    if trial_end is not None:
        made |= {"status": "trialing", "trial_start": now, "trial_end": trial_end, "billing_cycle_anchor": trial_end}
        lines[0] |= {"amount": 0, "subtotal": 0, "description": "Trial period"}
        world.schedule(trial_end - 3 * DAY, _announce_end_of_trial, made["id"])
    made["cancel_at"] = end if made["cancel_at_period_end"] else None
    world.emit("customer.subscription.created", made)
    invoice = invoicing.draft(world, made, lines, "subscription_create")
    invoicing.finalize(world, invoice)
    world.schedule(now + cycles.FIRST_PAYMENT_WITHIN, cycles.expire, made["id"])
    if made["status"] != "incomplete":
        return
    if behavior != "default_incomplete":
        invoicing.collect(world, invoice)
    elif (intent := invoicing.intent_of(world, invoice)) and (method := invoicing.method_for(world, made)):
        intent |= {"payment_method": method, "status": "requires_confirmation"}


@endpoint("GET", "/v1/subscriptions/{subscription}", "SubscriptionRetrieveParams")
def retrieve(world: AccountState, params: Params, subscription: str) -> StripeObject:
    return world.get("subscription", subscription)


@endpoint("GET", "/v1/subscriptions", "SubscriptionListParams", "customer status price")
def index(world: AccountState, params: Params) -> StripeObject:
    status, price = params.get("status"), params.get("price")
    found = world.all("subscription", customer=params.get("customer"))
    if status == "ended":
        found = [one for one in found if one["status"] in ("canceled", "incomplete_expired")]
    elif status != "all":
        found = [one for one in found if one["status"] == status or (status is None and one["status"] != "canceled")]
    found = [one for one in found if price in (None, cycles.item_of(one)["price"]["id"])]
    return page(params, "/v1/subscriptions", found)


@endpoint("GET", "/v1/subscription_items", "SubscriptionItemListParams", "subscription")
def items(world: AccountState, params: Params) -> StripeObject:
    found = world.get("subscription", params["subscription"], "subscription")
    return page(params, "/v1/subscription_items", found["items"]["data"])


@endpoint("POST", "/v1/subscriptions/{subscription}", "SubscriptionUpdateParams", _UPDATE)
def update(world: AccountState, params: Params, subscription: str) -> StripeObject:
    found = world.get("subscription", subscription)
    _refuse_unsupported(params)
    if found["status"] in ("canceled", "incomplete_expired"):
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
    new = proration.changed_item(world, found, params)
    method = _method(world, found["customer"], params, found["default_payment_method"])
    if params.get("payment_behavior") == "error_if_incomplete" and params.get("items"):
        _want_payable(world, method or invoicing.method_for(world, found))
    with world.changing(found, "customer.subscription.updated"):
        found |= {"metadata": merge_metadata(found["metadata"], params), "default_payment_method": method}
        found["payment_settings"] = payment_settings(found["payment_settings"], params)
        found |= {name: params[name] or None for name in ("description", "pause_collection") if name in params}
        if given := params.get("cancellation_details"):
            found["cancellation_details"] = found["cancellation_details"] | given
        _cancel_at_period_end(world, found, params.get("cancel_at_period_end"))
        invoice = proration.apply(world, found, new, params)
        if invoice and invoice["status"] == "open":
            _pay_for_update(world, found, invoice, params)
    return found


def _pay_for_update(world: AccountState, found: StripeObject, invoice: StripeObject, params: Params) -> None:
    if params.get("payment_behavior") == "default_incomplete":
        found["status"] = "past_due" if found["status"] == "active" else found["status"]
    else:
        invoicing.collect(world, invoice)


def _cancel_at_period_end(world: AccountState, found: StripeObject, wanted: bool | None) -> None:
    if wanted is None or wanted == found["cancel_at_period_end"]:
        return
    end = cycles.item_of(found)["current_period_end"]
    reason = "cancellation_requested" if wanted else None
    found |= {"cancel_at_period_end": wanted, "cancel_at": end if wanted else None}
    found |= {"canceled_at": world.now() if wanted else None}
    found["cancellation_details"] = found["cancellation_details"] | {"reason": reason}


@endpoint("DELETE", "/v1/subscriptions/{subscription}", "SubscriptionCancelParams", "cancellation_details")
def cancel(world: AccountState, params: Params, subscription: str) -> StripeObject:
    found = world.get("subscription", subscription)
    if found["status"] in ("canceled", "incomplete_expired"):
        raise StripeError(404, f"No such subscription: '{subscription}'", code="resource_missing", param="id")
    found["cancellation_details"] = found["cancellation_details"] | (params.get("cancellation_details") or {})
    cycles.end(world, found, "cancellation_requested")
    return found


@endpoint("POST", "/v1/subscriptions/{subscription}/pause", "SubscriptionPauseParams", "type invoicing_behavior")
def pause(world: AccountState, params: Params, subscription: str) -> StripeObject:
    found = world.get("subscription", subscription)
    if found["status"] not in ("active", "trialing", "past_due"):
        raise invalid(f"A subscription that is {found['status']} cannot be paused.")
    make_paused(world, found, "pause_requested")
    return found


def make_paused(world: AccountState, found: StripeObject, why: str) -> None:
    """Pause the subscription."""
    with world.changing(found, "customer.subscription.updated"):
        details = {"subscription": {"type": why}, "transitioned_at": world.now(), "type": "subscription"}
        found |= {"status": "paused", "status_details": {"paused": details}}
    world.emit("customer.subscription.paused", found)


@endpoint(
    "POST",
    "/v1/subscriptions/{subscription}/resume",
    "SubscriptionResumeParams",
    "billing_cycle_anchor proration_behavior payment_behavior",
)
def resume(world: AccountState, params: Params, subscription: str) -> StripeObject:
    found = world.get("subscription", subscription)
    if found["status"] != "paused":
        raise invalid(f"The subscription is {found['status']}; only a paused one can be resumed.")
    item, now = cycles.item_of(found), world.now()
    anchor = (params.get("billing_cycle_anchor") or {}).get("type", "now")
    if anchor == "unchanged" and item["current_period_end"] > now:
        with world.changing(found, "customer.subscription.updated"):
            found |= {"status": "active", "status_details": None}
        world.emit("customer.subscription.resumed", found)
        return found
    with world.changing(found, "customer.subscription.updated"):
        found["billing_cycle_anchor"] = now
        cycles.set_period(world, found, now, cycles.period_end(world, found, now))
        invoice = invoicing.draft(world, found, [cycles.recurring_line(world, found)], "subscription_update")
    world.hidden[invoice["id"]]["resumes"] = True
    invoicing.finalize(world, invoice)
    if invoice["status"] == "open":
        invoicing.collect(world, invoice)
    return found


def _refuse_unsupported(params: Params) -> None:
    refused = {
        "collection_method": "send_invoice",
        "payment_behavior": "pending_if_incomplete",
    }
    for name, value in refused.items():
        if params.get(name) == value:
            raise invalid(f"The Stripe simulator does not support {value}.", param=name, code="simulator_unsupported")
    if (params.get("billing_mode") or {}).get("type") == "classic":
        message = "The Stripe simulator does not support classic billing."
        raise invalid(message, param="billing_mode", code="simulator_unsupported")


def _method(world: AccountState, customer: str, params: Params, present: str | None = None) -> str | None:
    if "default_payment_method" not in params:
        return present
    name = params["default_payment_method"]
    if not name:
        return None
    method = payment_methods.resolve(world, name, "default_payment_method")
    if method["customer"] != customer:
        raise invalid(
            f"The customer does not have a payment method with the ID {name}. The payment method must be attached to "
            "the customer.",
            param="default_payment_method",
            code="resource_missing",
        )
    return str(method["id"])


def _trial_end(world: AccountState, params: Params) -> int | None:
    if days := params.get("trial_period_days"):
        return world.now() + int(days) * DAY
    trial_end = params.get("trial_end")
    if trial_end in (None, "now"):
        return None
    if int(trial_end) <= world.now():
        raise invalid("`trial_end` must be in the future.", param="trial_end")
    return int(trial_end)


def _want_payable(world: AccountState, method_id: str | None) -> None:
    """`error_if_incomplete`: raise the card's decline beforehand, so that nothing changes."""
    if method_id is None:
        raise invalid(
            "This customer has no attached payment source or default payment method.", code="resource_missing"
        )
    card = payment_methods.behaviour(world, world.get("payment_method", method_id))
    decline = AUTHENTICATION_REQUIRED if card.asks else card.decline
    if decline:
        raise card_error(decline)


def _announce_end_of_trial(world: AccountState, subscription_id: str) -> None:
    subscription = world.get("subscription", subscription_id)
    if subscription["status"] == "trialing":
        world.emit("customer.subscription.trial_will_end", subscription)


def _of_customer(world: AccountState, customer: StripeObject) -> StripeObject:
    found = [one for one in world.all("subscription", customer=customer["id"]) if one["status"] != "canceled"][::-1]
    return listed(found[:10], f"/v1/customers/{customer['id']}/subscriptions", has_more=len(found) > 10)


INCLUDABLE[("customer", "subscriptions")] = _of_customer
