"""API endpoints for reading charges and events."""

from fnmatch import fnmatchcase

from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import invalid
from simulators.stripe.state.paging import page
from simulators.stripe.state.parameters import Params, merge_metadata
from simulators.stripe.state.routing import endpoint

_EVENTS_KEPT = 30 * 24 * 3600  # seconds


@endpoint("GET", "/v1/charges/{charge}", "ChargeRetrieveParams")
def charge(world: AccountState, params: Params, charge: str) -> StripeObject:
    return world.get("charge", charge)


@endpoint("GET", "/v1/charges", "ChargeListParams", "customer payment_intent")
def charges(world: AccountState, params: Params) -> StripeObject:
    wanted = {name: params.get(name) for name in ("customer", "payment_intent")}
    return page(params, "/v1/charges", world.all("charge", **wanted))


@endpoint("POST", "/v1/charges/{charge}", "ChargeUpdateParams", "metadata description receipt_email")
def update_charge(world: AccountState, params: Params, charge: str) -> StripeObject:
    found = world.get("charge", charge)
    with world.changing(found, "charge.updated"):
        found |= {name: params[name] for name in ("description", "receipt_email") if name in params}
        found["metadata"] = merge_metadata(found["metadata"], params)
    return found


@endpoint("GET", "/v1/events/{event}", "EventRetrieveParams")
def event(world: AccountState, params: Params, event: str) -> StripeObject:
    return world.get("event", event)


@endpoint("GET", "/v1/events", "EventListParams", "type types delivery_success")
def events(world: AccountState, params: Params) -> StripeObject:
    if "type" in params and "types" in params:
        raise invalid("You may only specify one of these parameters: type, types.", param="types")
    if len(params.get("types", [])) > 20:
        raise invalid("You may specify up to 20 event types.", param="types")
    patterns = params.get("types") or [params.get("type", "*")]
    oldest = world.now() - _EVENTS_KEPT
    found = [
        item
        for item in world.all("event")
        if item["created"] >= oldest and any(fnmatchcase(item["type"], pattern) for pattern in patterns)
    ]
    if "delivery_success" in params:
        found = [item for item in found if (item["pending_webhooks"] == 0) == params["delivery_success"]]
    return page(params, "/v1/events", found)
