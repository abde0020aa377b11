"""Price changes within a period: credit, charge, and their invoice."""

from copy import deepcopy

from simulators.stripe.billing import catalog, cycles, invoice_shape, invoicing
from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import invalid
from simulators.stripe.state.parameters import Params

_ITEM_FIELDS = {"id", "price", "quantity", "metadata", "discounts"}


def changed_item(world: AccountState, subscription: StripeObject, params: Params) -> StripeObject:
    """The item as `params["items"]` changes it, without applying the change."""
    item: StripeObject = deepcopy(cycles.item_of(subscription))
    given = params.get("items") or []
    if not given:
        return item
    wanted = given[0]
    if len(given) > 1 or set(wanted) - _ITEM_FIELDS or wanted.get("id") not in (None, item["id"]):
        message = f"The Stripe simulator changes the one item {item['id']} by its id, price and quantity."
        raise invalid(message, param="items", code="simulator_unsupported")
    if "id" not in wanted:
        raise invalid(
            "Cannot add multiple items here: name the existing one by its id.",
            param="items[0][id]",
            code="simulator_unsupported",
        )
    if "price" in wanted:
        price = catalog.price_for_sale(world, wanted["price"])
        if price["currency"] != subscription["currency"]:
            raise invalid(
                f"The price specified only supports `{price['currency']}`. This doesn't match the expected currency: "
                f"`{subscription['currency']}`.",
                param="items[0][price]",
            )
        item |= {"price": deepcopy(price), "plan": catalog.plan_of(price)}
    item["quantity"] = wanted.get("quantity", item["quantity"])
    return item


def lines(world: AccountState, subscription: StripeObject, new: StripeObject, at: int) -> list[StripeObject]:
    """The credit for unused time of the old price, and the charge for remaining time of the new one."""
    old = cycles.item_of(subscription)
    start, end = old["current_period_start"], old["current_period_end"]
    same = (old["price"]["id"], old["quantity"]) == (new["price"]["id"], new["quantity"])
    if same or subscription["status"] == "trialing" or not start <= at < end:
        return []
    share = (end - at) / (end - start)
    found = []
    for item, sign, text in ((old, -1, "Unused time on {}"), (new, 1, "Remaining time on {}")):
        price = item["price"]
        name = world.get("product", price["product"])["name"]
        amount = sign * round(price["unit_amount"] * item["quantity"] * share)
        found.append(invoice_shape.line(item, price, amount, (at, end), text.format(name), proration=True))
    return found


def apply(world: AccountState, subscription: StripeObject, new: StripeObject, params: Params) -> StripeObject | None:
    """Change the item; return the invoice that this creates at once, if any."""
    behavior = params.get("proration_behavior", "create_prorations")
    restart = (params.get("billing_cycle_anchor") or {}).get("type") == "now"
    at = params.get("proration_date", world.now())
    prorations = [] if behavior == "none" else lines(world, subscription, new, at)
    if restart and behavior != "none":
        prorations = _unused(world, subscription, at)
    subscription["items"] = subscription["items"] | {"data": [new]}
    if restart:
        subscription["billing_cycle_anchor"] = world.now()
        cycles.set_period(world, subscription, world.now(), cycles.period_end(world, subscription, world.now()))
        prorations = [*prorations, cycles.recurring_line(world, subscription)]
    pending = world.hidden[subscription["id"]].setdefault("pending", [])
    if not prorations:
        return None
    if behavior != "always_invoice" and not restart:
        pending.extend(prorations)
        return None
    world.hidden[subscription["id"]]["pending"] = []
    invoice = invoicing.draft(world, subscription, [*pending, *prorations], "subscription_update")
    invoicing.finalize(world, invoice)
    return invoice


def _unused(world: AccountState, subscription: StripeObject, at: int) -> list[StripeObject]:
    old = cycles.item_of(subscription)
    pretended = deepcopy(old) | {"quantity": 0}
    return [one for one in lines(world, subscription, pretended, at) if one["amount"] < 0]
