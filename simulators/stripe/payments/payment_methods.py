"""Payment methods: test cards become objects, which belong to one customer or may be used once."""

from copy import deepcopy
from typing import Any

from simulators.stripe.payments.cards import CARDS, Card, card_details, card_error, card_named
from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import StripeError, invalid, missing
from simulators.stripe.state.paging import page
from simulators.stripe.state.parameters import Params, merge_metadata
from simulators.stripe.state.routing import endpoint

NO_ADDRESS = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}
_DETAILS = {"address": NO_ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None}


def make(world: AccountState, card: str, **fields: Any) -> StripeObject:
    """Create a payment method for a test card."""
    made = world.add(
        "pm",
        "payment_method",
        allow_redisplay="unspecified",
        billing_details=deepcopy(_DETAILS) | fields.pop("billing_details", {}),
        card=card_details(card),
        customer=None,
        customer_account=None,
        type="card",
        **fields,
    )
    world.hidden[made["id"]]["card"] = card
    return made


def resolve(world: AccountState, name: str, param: str = "payment_method") -> StripeObject:
    """The payment method with this id; a test card's id makes a new one each time, as Stripe does."""
    if name.startswith("pm_card_") and (card := card_named(name)):
        return make(world, card)
    found = world.objects["payment_method"].get(name)
    if found is None:
        raise missing("payment_method", name, param)
    return found


def behaviour(world: AccountState, method: StripeObject) -> Card:
    """The behaviour of its test card."""
    return CARDS[world.hidden[method["id"]]["card"]]


def belongs(world: AccountState, method: StripeObject, customer: str | None) -> None:
    """Refuse a method that belongs to another customer, or was used without one."""
    if method["customer"] and method["customer"] != customer:
        raise invalid(
            f"The payment method {method['id']} belongs to the customer {method['customer']}. Please include the "
            "Customer in the `customer` parameter.",
            param="payment_method",
        )
    if not method["customer"] and world.hidden[method["id"]].get("spent"):
        raise invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared "
            "with a connected account without Customer attachment, or was detached from a Customer. It may not be "
            "used again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
            param="payment_method",
        )


def attach_to(world: AccountState, method: StripeObject, customer: str) -> None:
    """Attach it to a customer, or raise the decline."""
    if method["customer"] == customer:
        return
    if method["customer"]:
        raise invalid(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    belongs(world, method, customer)
    card = behaviour(world, method)
    if not card.attaches and card.decline:
        raise card_error(card.decline)
    method["customer"] = customer
    world.emit("payment_method.attached", method)


_CREATE = "type card billing_details metadata"


@endpoint("POST", "/v1/payment_methods", "PaymentMethodCreateParams", _CREATE, publishable=True)
def create(world: AccountState, params: Params) -> StripeObject:
    card = params.get("card", {})
    number = card.get("token") or card.get("number", "")
    name = card_named(number)
    if params.get("type") != "card" or not name:
        message = f"The Stripe simulator knows test cards only, not {number[:8]}..."
        raise StripeError(402, message, type="card_error", code="incorrect_number", param="number")
    details = params.get("billing_details") or {}
    return make(world, name, metadata=merge_metadata({}, params), billing_details=details)


@endpoint("GET", "/v1/payment_methods/{method}", "PaymentMethodRetrieveParams")
def retrieve(world: AccountState, params: Params, method: str) -> StripeObject:
    return resolve(world, method, "id")


@endpoint("GET", "/v1/payment_methods", "PaymentMethodListParams", "customer type")
def index(world: AccountState, params: Params) -> StripeObject:
    if "customer" not in params:
        raise invalid("You must provide a `customer` to list payment methods.", param="customer")
    world.get("customer", params["customer"], "customer")
    found = world.all("payment_method", customer=params["customer"], type=params.get("type"))
    return page(params, "/v1/payment_methods", found)


@endpoint("GET", "/v1/customers/{customer}/payment_methods", "CustomerPaymentMethodListParams", "type")
def of_customer(world: AccountState, params: Params, customer: str) -> StripeObject:
    world.get("customer", customer)
    found = world.all("payment_method", customer=customer, type=params.get("type"))
    return page(params, f"/v1/customers/{customer}/payment_methods", found)


@endpoint("POST", "/v1/payment_methods/{method}", "PaymentMethodUpdateParams", "metadata billing_details")
def update(world: AccountState, params: Params, method: str) -> StripeObject:
    found = world.get("payment_method", method)
    with world.changing(found, "payment_method.updated"):
        found["metadata"] = merge_metadata(found["metadata"], params)
        found["billing_details"] = found["billing_details"] | (params.get("billing_details") or {})
    return found


@endpoint("POST", "/v1/payment_methods/{method}/attach", "PaymentMethodAttachParams", "customer")
def attach(world: AccountState, params: Params, method: str) -> StripeObject:
    if "customer" not in params:
        raise invalid("Missing required param: customer.", param="customer", code="parameter_missing")
    world.get("customer", params["customer"], "customer")
    found = resolve(world, method, "id")
    attach_to(world, found, params["customer"])
    return found


@endpoint("POST", "/v1/payment_methods/{method}/detach", "PaymentMethodDetachParams")
def detach(world: AccountState, params: Params, method: str) -> StripeObject:
    found = world.get("payment_method", method)
    if not found["customer"]:
        message = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise invalid(message, code="payment_method_unexpected_state")
    forget(world, found)
    return found


def forget(world: AccountState, method: StripeObject) -> None:
    """Detach it for good; it can never be used again."""
    customer = world.objects["customer"].get(method["customer"], {})
    settings = customer.get("invoice_settings") or {}
    if settings.get("default_payment_method") == method["id"]:
        with world.changing(customer, "customer.updated"):
            customer["invoice_settings"] = settings | {"default_payment_method": None}
    for subscription in world.all("subscription", default_payment_method=method["id"]):
        with world.changing(subscription, "customer.subscription.updated"):
            subscription["default_payment_method"] = None
    world.hidden[method["id"]]["spent"] = True
    previous = {"customer": method["customer"]}
    method["customer"] = None
    world.emit("payment_method.detached", method, previous)
