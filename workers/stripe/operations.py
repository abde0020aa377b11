"""Operations at Stripe, one for each kind of request.

Each may be repeated: calls that create something use the row's idempotency key, calls that change something are
skipped when the change is there already. Operations do not touch our rows; the affected objects are synced
afterwards, as after webhooks.
"""

from collections.abc import Callable, Mapping

from models.rules.stripe.billing import OVER, PAYABLE, PURCHASE, Subject
from models.tables import RequestKind, StripeRequest
from workers.gateways.stripe.errors import StripeRefused, declined
from workers.gateways.stripe.gateway import StripeGateway
from workers.stripe import customers
from workers.stripe.cards import add_method, default_method, remove_method
from workers.stripe.idempotency import REPEATS, once
from workers.stripe.operation_result import OperationResult
from workers.stripe.plans import cancel_or_go_on, change_plan, preview_plan, subscribe
from workers.stripe.sync import StripeSync

Operation = Callable[[StripeSync, StripeRequest, str], OperationResult]


def purchase(stripe: StripeSync, operation: StripeRequest, customer: str) -> OperationResult:
    """Create a payment intent, confirmed if the request names a payment method."""
    if operation.attempt == 1:  # earlier tries used the same key, so there is nothing to look up
        return OperationResult(stripe.gateway.create_payment(customer=customer, key=operation.key, **operation.params))
    made = once(StripeGateway.create_payment, stripe.gateway, customer=customer, key=operation.key, **operation.params)
    if made["status"] == "requires_payment_method" and made["last_payment_error"]:
        raise declined(made)
    return OperationResult(made)


def close_account(stripe: StripeSync, operation: StripeRequest, customer: str) -> OperationResult:
    """End everything that a customer pays for and detach their payment methods; invoices stay, as the law requires."""
    gateway, follow = stripe.gateway, []
    for payment in list(gateway.payments(customer=customer)):
        if payment["status"] in PAYABLE and PURCHASE in (payment.get("metadata") or {}):
            _cancel_payment(gateway, payment["id"], key=f"{operation.key}-{payment['id']}")
            follow.append((Subject.PAYMENT, payment["id"]))
    for subscription in gateway.subscriptions(customer=customer):
        if subscription["status"] not in OVER:
            gateway.cancel_subscription(subscription["id"])
            follow.append((Subject.SUBSCRIPTION, subscription["id"]))
    for method in list(gateway.payment_methods(customer)):
        once(StripeGateway.detach, gateway, method["id"], key=f"{operation.key}-{method['id']}")
        follow.append((Subject.PAYMENT_METHOD, method["id"]))
    return OperationResult({}, tuple(follow))


def cancel_purchase(stripe: StripeSync, operation: StripeRequest, customer: str) -> OperationResult:
    """Cancel a purchase's payment, also one that Stripe created without our knowledge."""
    gateway, intent_id = stripe.gateway, operation.params["payment_intent"]
    if intent_id is None:
        known = REPEATS[StripeGateway.create_payment].find_existing
        begun = known(gateway, customer=customer, metadata=operation.params["metadata"])
        if begun is None:
            return OperationResult({})
        intent_id = begun["id"]
    if gateway.payment(intent_id)["status"] in PAYABLE:
        _cancel_payment(gateway, intent_id, key=operation.key)
    return OperationResult({}, ((Subject.PAYMENT, intent_id),))


def _cancel_payment(gateway: StripeGateway, intent_id: str, *, key: str) -> None:
    """Cancel a payment; one that was paid just now stays paid and is synced as it is."""
    try:
        once(StripeGateway.cancel_payment, gateway, intent_id, key=key)
    except StripeRefused as error:
        if error.code != "payment_intent_unexpected_state":
            raise


def update_customer(stripe: StripeSync, operation: StripeRequest, customer: str) -> OperationResult:
    """Set the customer's address to the one that is verified now, which may be newer than the request's."""
    if email := customers.proven_address(operation.user_id):
        stripe.gateway.set_email(customer, email)
    return OperationResult({})


OPERATIONS: Mapping[RequestKind, Operation] = {
    RequestKind.PURCHASE: purchase,
    RequestKind.SUBSCRIPTION_CREATE: subscribe,
    RequestKind.SUBSCRIPTION_UPDATE: change_plan,
    RequestKind.SUBSCRIPTION_PREVIEW: preview_plan,
    RequestKind.SUBSCRIPTION_CANCEL: cancel_or_go_on,
    RequestKind.SUBSCRIPTION_RESUME: cancel_or_go_on,
    RequestKind.PAYMENT_METHOD_ADD: add_method,
    RequestKind.PAYMENT_METHOD_DEFAULT: default_method,
    RequestKind.PAYMENT_METHOD_REMOVE: remove_method,
    RequestKind.ACCOUNT_CLOSE: close_account,
    RequestKind.PURCHASE_CANCEL: cancel_purchase,
    RequestKind.CUSTOMER_UPDATE: update_customer,
}
