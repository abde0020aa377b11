"""Operations on payment methods: attach, set as default, detach."""

from models.rules.stripe.billing import Subject
from models.tables import StripeRequest
from workers.gateways.stripe.gateway import StripeGateway
from workers.stripe.idempotency import once
from workers.stripe.operation_result import OperationResult
from workers.stripe.sync import StripeSync


def add_method(stripe: StripeSync, request: StripeRequest, customer: str) -> OperationResult:
    """Attach a payment method; a customer's first one becomes the default of their invoices."""
    method = keep(stripe.gateway, request, customer, request.params["payment_method"])
    make_default(stripe.gateway, request, customer, method)
    return _method(method, customer)


def default_method(stripe: StripeSync, request: StripeRequest, customer: str) -> OperationResult:
    """Make a payment method the default of the customer's invoices."""
    method = request.params["payment_method"]
    once(StripeGateway.set_default, stripe.gateway, method, customer=customer, key=request.key)
    return _method(method, customer)


def remove_method(stripe: StripeSync, request: StripeRequest, customer: str) -> OperationResult:
    """Detach a payment method."""
    found = once(StripeGateway.detach, stripe.gateway, request.params["payment_method"], key=request.key)
    return _method(found["id"], customer)


def keep(gateway: StripeGateway, request: StripeRequest, customer: str, method: str) -> str:
    """Attach a payment method to the customer; return its id, which may differ. Raises `StripeDeclined`."""
    kept = once(StripeGateway.attach, gateway, method, customer=customer, key=f"{request.key}-attach")
    return str(kept["id"])


def make_default(gateway: StripeGateway, request: StripeRequest, customer: str, method: str) -> None:
    """Make this payment method the default of the customer's invoices, unless there is a default already."""
    if not (gateway.customer(customer).get("invoice_settings") or {}).get("default_payment_method"):
        gateway.set_default(method, customer=customer, key=f"{request.key}-default")


def _method(method: str, customer: str) -> OperationResult:
    """Build the result; the customer names the default, so it is synced after the method."""
    return OperationResult({"id": method}, ((Subject.PAYMENT_METHOD, method), (Subject.CUSTOMER, customer)))
