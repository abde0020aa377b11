"""Customers."""

from simulators.stripe.payments import payment_methods
from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import invalid, missing
from simulators.stripe.state.paging import page
from simulators.stripe.state.parameters import Params, merge_metadata
from simulators.stripe.state.routing import endpoint

_FIELDS = "description email name phone metadata invoice_settings"
_SETTINGS = ("custom_fields", "default_payment_method", "footer", "rendering_options")
_NONE = ("address", "currency", "customer_account", "default_source", "discount", "shipping", "test_clock")
_TEXTS = ("description", "email", "name", "phone")


@endpoint("POST", "/v1/customers", "CustomerCreateParams", f"{_FIELDS} payment_method")
def create(world: AccountState, params: Params) -> StripeObject:
    made = world.add(
        "cus",
        "customer",
        balance=0,
        delinquent=False,
        invoice_prefix=world.new_id("x")[-8:].upper(),
        invoice_settings=dict.fromkeys(_SETTINGS),
        metadata=merge_metadata({}, params),
        next_invoice_sequence=1,
        preferred_locales=[],
        tax_exempt="none",
        **dict.fromkeys(_NONE),
        **{name: params.get(name) or None for name in _TEXTS},
    )
    try:
        if "payment_method" in params:
            method = payment_methods.resolve(world, params["payment_method"])
            payment_methods.attach_to(world, method, made["id"])
        _settle_default(world, made, params)
    except Exception:
        del world.objects["customer"][made["id"]]
        raise
    world.emit("customer.created", made)
    return made


@endpoint("GET", "/v1/customers/{customer}", "CustomerRetrieveParams")
def retrieve(world: AccountState, params: Params, customer: str) -> StripeObject:
    return world.get("customer", customer)


@endpoint("GET", "/v1/customers", "CustomerListParams", "email")
def index(world: AccountState, params: Params) -> StripeObject:
    found = [item for item in world.all("customer", email=params.get("email")) if not item.get("deleted")]
    return page(params, "/v1/customers", found)


@endpoint("POST", "/v1/customers/{customer}", "CustomerUpdateParams", f"{_FIELDS} balance")
def update(world: AccountState, params: Params, customer: str) -> StripeObject:
    found = _living(world, customer)
    with world.changing(found, "customer.updated"):
        found |= {name: params[name] or None for name in _TEXTS if name in params}
        found["balance"] = params.get("balance", found["balance"])
        found["metadata"] = merge_metadata(found["metadata"], params)
        _settle_default(world, found, params)
    return found


@endpoint("DELETE", "/v1/customers/{customer}", "CustomerDeleteParams")
def delete(world: AccountState, params: Params, customer: str) -> StripeObject:
    return remove(world, _living(world, customer))


def remove(world: AccountState, customer: StripeObject) -> StripeObject:
    """Delete a customer: cards are detached, subscriptions end, a stub stays."""
    world.before_deletion(customer)
    world.emit("customer.deleted", customer)
    for method in world.all("payment_method", customer=customer["id"]):
        world.hidden[method["id"]]["spent"] = True
        method["customer"] = None
    stub = {"id": customer["id"], "object": "customer", "deleted": True}
    customer.clear()
    customer |= stub
    return stub


def _settle_default(world: AccountState, customer: StripeObject, params: Params) -> None:
    given = params.get("invoice_settings") or {}
    if "default_payment_method" not in given:
        return
    method_id = given["default_payment_method"] or None
    if method_id is not None:
        method = payment_methods.resolve(world, method_id, "invoice_settings[default_payment_method]")
        if method["customer"] != customer["id"]:
            raise invalid(
                f"The customer does not have a payment method with the ID {method_id}. The payment method must be "
                "attached to the customer.",
                param="invoice_settings[default_payment_method]",
                code="resource_missing",
            )
        method_id = method["id"]
    customer["invoice_settings"] = customer["invoice_settings"] | {"default_payment_method": method_id}


def _living(world: AccountState, customer_id: str) -> StripeObject:
    found = world.get("customer", customer_id)
    if found.get("deleted"):
        raise missing("customer", customer_id, "id")
    return found
