"""Operations on plans: create, change, cancel or resume a subscription.

`subscribe` brings a user to a plan from any state of their subscription. It reads the subscriptions at Stripe before it
changes anything, so that it may be repeated after any failure, and so that no user pays for two.
"""

from collections.abc import Iterable

from models.rules.stripe.billing import IN_TRIAL, OVER, PAID, PAST_DUE, REQUEST, UNFINISHED, Subject, plan_item, ref
from models.tables import StripeRequest
from workers.gateways.stripe.errors import declined
from workers.gateways.stripe.gateway import StripeGateway, is_ending
from workers.stripe.cards import keep, make_default
from workers.stripe.idempotency import once
from workers.stripe.operation_result import FIRST_PAYMENT, ObjectToSync, OperationResult, StripeObject
from workers.stripe.sync import StripeSync

UNPAID = frozenset({PAST_DUE, "unpaid"})


def subscribe(stripe: StripeSync, request: StripeRequest, customer: str) -> OperationResult:
    """Bring the user to the requested plan, by changing the existing subscription or creating one.

    Raises:
        StripeDeclined: the payment was declined; a subscription created for it is cancelled.
    """
    gateway = stripe.gateway
    found = list(gateway.subscriptions(customer=customer))
    if ours := next((one for one in found if _is_made_for(request, one)), None):
        return _begun(gateway, request, customer, gateway.subscription(ours["id"]))
    if live := next((one for one in found if one["status"] not in OVER | {UNFINISHED}), None):
        return _change(stripe, request, customer, gateway.subscription(live["id"]))
    unfinished = [one["id"] for one in found if one["status"] == UNFINISHED]
    if waiting := _still_payable(stripe, request, unfinished):
        return waiting
    return _create(gateway, request, customer, unfinished)


def change_plan(stripe: StripeSync, request: StripeRequest, customer: str) -> OperationResult:
    """Change the subscription's price."""
    found = stripe.gateway.subscription(request.params["subscription"])
    changed = once(
        StripeGateway.change_price,
        stripe.gateway,
        found,
        item=plan_item(found, stripe.tiers)["id"],
        price=request.params["price"],
        charge_now=request.params["upgrade"],
        payment_method=None,
        key=request.key,
    )
    return _made(changed)


def preview_plan(stripe: StripeSync, request: StripeRequest, customer: str) -> OperationResult:
    """Ask what the change of the subscription's price would cost."""
    found = stripe.gateway.subscription(request.params["subscription"])
    item = plan_item(found, stripe.tiers)
    invoice = stripe.gateway.preview_price(
        found["id"], item=item["id"], price=request.params["price"], charge_now=request.params["upgrade"]
    )
    return OperationResult(invoice | {"period_end": item["current_period_end"]})


def cancel_or_go_on(stripe: StripeSync, request: StripeRequest, customer: str) -> OperationResult:
    """Let the subscription end with its period, or continue, or resume it when it is paused."""
    gateway = stripe.gateway
    found = gateway.subscription(request.params["subscription"])
    if request.params.get("paused") and found["status"] == "paused":
        found = once(StripeGateway.unpause_subscription, gateway, found["id"], key=f"{request.key}-unpause")
    cancel = request.params["cancel"]
    return _made(once(StripeGateway.cancel_at_period_end, gateway, found, cancel=cancel, key=request.key))


def _create(
    gateway: StripeGateway, request: StripeRequest, customer: str, unfinished: Iterable[str]
) -> OperationResult:
    """Create a subscription in place of unfinished ones."""
    for subscription_id in unfinished:
        gateway.cancel_subscription(subscription_id)
    method = request.params["payment_method"]
    if method:
        method = keep(gateway, request, customer, method)
    found = gateway.create_subscription(
        customer=customer,
        price=request.params["price"],
        payment_method=method,
        metadata=request.params["metadata"],
        key=request.key,
    )
    return _begun(gateway, request, customer, found, [(Subject.SUBSCRIPTION, one) for one in unfinished])


def _begun(
    gateway: StripeGateway,
    request: StripeRequest,
    customer: str,
    found: StripeObject,
    follow: Iterable[ObjectToSync] = (),
) -> OperationResult:
    """The result for a subscription that this request created, by the status of its first payment."""
    method = ref(found["default_payment_method"])
    if request.params["payment_method"] is None:
        return _made(found, follow)
    payment = _first_payment(gateway, found) if found["status"] in OVER | {UNFINISHED} else {"status": "succeeded"}
    if payment["status"] in ("requires_payment_method", "canceled"):
        if found["status"] not in OVER:
            gateway.cancel_subscription(found["id"])
        raise declined(payment)
    if found["status"] == PAID and method:
        make_default(gateway, request, customer, method)
    return _made(found | {FIRST_PAYMENT: payment}, (*follow, *_of_method(method, customer)))


def _still_payable(stripe: StripeSync, request: StripeRequest, unfinished: Iterable[str]) -> OperationResult | None:
    """An unfinished subscription to the same price that the app may still confirm, or whose payment is in progress."""
    method = request.params["payment_method"]
    for subscription_id in unfinished:
        found = stripe.gateway.subscription(subscription_id)
        if ref(plan_item(found, stripe.tiers)["price"]) != request.params["price"]:
            continue
        payment = _first_payment(stripe.gateway, found)
        asked_bank = payment["status"] == "requires_action" and ref(payment["payment_method"]) == method
        if method is None or asked_bank or payment["status"] in ("processing", "succeeded"):
            return _made(found | ({FIRST_PAYMENT: payment} if method else {}))
    return None


def _change(stripe: StripeSync, request: StripeRequest, customer: str, found: StripeObject) -> OperationResult:
    """Bring the existing subscription to the requested price, paid and not ending."""
    gateway, method, price = stripe.gateway, request.params["payment_method"], request.params["price"]
    item = plan_item(found, stripe.tiers)
    is_same = ref(item["price"]) == price
    if is_same and found["status"] in (PAID, IN_TRIAL) and not is_ending(found):
        return _made(found)
    if method:
        method = keep(gateway, request, customer, method)
    found = _reactivate(gateway, request, found, method)
    if not is_same:
        found = once(
            StripeGateway.change_price,
            gateway,
            found,
            item=item["id"],
            price=price,
            charge_now=ref(item["price"]) in request.params["upgrade_from"],
            payment_method=method,
            key=request.key,
        )
    elif is_ending(found):
        if method:  # before the end is removed: a repeat sees an ending subscription until all is done
            once(StripeGateway.pay_subscription_with, gateway, found["id"], method, key=f"{request.key}-method")
        found = once(StripeGateway.cancel_at_period_end, gateway, found, cancel=False, key=request.key)
    return _made(found, _of_method(method, customer))


def _reactivate(
    gateway: StripeGateway, request: StripeRequest, found: StripeObject, method: str | None
) -> StripeObject:
    """Resume a paused subscription, or pay the open invoice of an overdue one; raises `StripeDeclined`."""
    if method and found["status"] in UNPAID | {"paused"}:
        found = once(StripeGateway.pay_subscription_with, gateway, found["id"], method, key=f"{request.key}-method")
    invoice = found["latest_invoice"]
    if found["status"] == "paused":
        found = once(StripeGateway.unpause_subscription, gateway, found["id"], key=f"{request.key}-unpause")
        if found["status"] == "paused":
            raise declined(_first_payment(gateway, found))
    elif found["status"] in UNPAID and isinstance(invoice, dict) and invoice["status"] == "open":
        once(StripeGateway.pay_invoice, gateway, invoice["id"], payment_method=method, key=f"{request.key}-pay")
        found = gateway.subscription(found["id"])
    return found


def _first_payment(gateway: StripeGateway, found: StripeObject) -> StripeObject:
    """The payment intent of the latest invoice; an invoice over nothing has none and counts as paid."""
    invoice = gateway.invoice(str(ref(found["latest_invoice"])))
    payments = (part["payment"] for part in (invoice.get("payments") or {}).get("data") or [])
    intent_id = next((ref(payment["payment_intent"]) for payment in payments if payment.get("payment_intent")), None)
    return gateway.payment(intent_id) if intent_id else {"status": "succeeded"}


def _is_made_for(request: StripeRequest, found: StripeObject) -> bool:
    return (found.get("metadata") or {}).get(REQUEST) == str(request.id)


def _of_method(method: str | None, customer: str) -> tuple[ObjectToSync, ...]:
    return ((Subject.PAYMENT_METHOD, method), (Subject.CUSTOMER, customer)) if method else ()


def _made(found: StripeObject, follow: Iterable[ObjectToSync] = ()) -> OperationResult:
    return OperationResult(found, (*follow, (Subject.SUBSCRIPTION, found["id"])))
