"""Refunds: at once, later, or failed later."""

from simulators.stripe.payments import payment_methods
from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import invalid
from simulators.stripe.state.paging import INCLUDABLE, listed, page
from simulators.stripe.state.parameters import Params, merge_metadata
from simulators.stripe.state.routing import endpoint

_TO_CARD = {
    "reference": None,
    "reference_status": "pending",
    "reference_type": "acquirer_reference_number",
    "type": "refund",
}
_NONE = (
    "customer_account",
    "failure_balance_transaction",
    "failure_reason",
    "next_action",
    "receipt_number",
    "source_transfer_reversal",
    "transfer_reversal",
)
_LATER = 3600  # seconds until the refund of a `refundFail` or `pendingRefund` card is decided


@endpoint("POST", "/v1/refunds", "RefundCreateParams", "amount charge payment_intent reason metadata")
def create(world: AccountState, params: Params) -> StripeObject:
    charge = _charge_of(world, params)
    amount = params.get("amount", charge["amount"] - charge["amount_refunded"])
    _check(world, charge, amount)
    return make(world, charge, amount, params.get("reason"), merge_metadata({}, params))


def make(
    world: AccountState, charge: StripeObject, amount: int, reason: str | None, metadata: dict[str, str]
) -> StripeObject:
    """Refund `amount` cents of a charge."""
    method = world.get("payment_method", charge["payment_method"])
    fate = payment_methods.behaviour(world, method).refund
    refund = world.add(
        "re",
        "refund",
        amount=amount,
        balance_transaction=world.new_id("txn"),
        charge=charge["id"],
        currency=charge["currency"],
        customer=charge["customer"],
        destination_details={"card": dict(_TO_CARD), "type": "card"},
        metadata=metadata,
        payment_intent=charge["payment_intent"],
        payment_method=charge["payment_method"],
        pending_reason="processing" if fate == "pending" else None,
        reason=reason,
        status="pending" if fate == "pending" else "succeeded",
        **dict.fromkeys(_NONE),
    )
    world.emit("refund.created", refund)
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.emit("charge.refunded", charge)
    if fate == "failed":
        world.schedule(world.now() + _LATER, _settle_later, refund["id"], False)
    elif fate == "pending":
        world.schedule(world.now() + _LATER, _settle_later, refund["id"], True)
    return refund


def _settle_later(world: AccountState, refund_id: str, succeeds: bool) -> None:
    refund = world.get("refund", refund_id)
    if succeeds and refund["status"] == "pending":
        succeed(world, refund)
    elif not succeeds and refund["status"] in ("pending", "succeeded"):
        fail(world, refund)


def succeed(world: AccountState, refund: StripeObject) -> None:
    """Complete a pending refund."""
    previous = {"status": refund["status"], "pending_reason": refund["pending_reason"]}
    refund |= {"status": "succeeded", "pending_reason": None}
    world.emit("refund.updated", refund, previous)
    world.emit("charge.refund.updated", refund, previous)


def fail(world: AccountState, refund: StripeObject, reason: str = "lost_or_stolen_card") -> None:
    """Fail a refund: the bank returned the money, and the charge counts as not refunded by that amount."""
    if refund["status"] not in ("pending", "succeeded"):
        raise invalid(f"A {refund['status']} refund cannot fail.")
    _undo(world, refund)
    previous = {"status": refund["status"], "failure_reason": None, "failure_balance_transaction": None}
    refund |= {"status": "failed", "failure_reason": reason, "pending_reason": None}
    refund["failure_balance_transaction"] = world.new_id("txn")
    world.emit("refund.failed", refund)
    world.emit("refund.updated", refund, previous)
    world.emit("charge.refund.updated", refund, previous)


def _undo(world: AccountState, refund: StripeObject) -> None:
    charge = world.get("charge", refund["charge"])
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False


@endpoint("GET", "/v1/refunds/{refund}", "RefundRetrieveParams")
def retrieve(world: AccountState, params: Params, refund: str) -> StripeObject:
    return world.get("refund", refund)


@endpoint("GET", "/v1/refunds", "RefundListParams", "charge payment_intent")
def index(world: AccountState, params: Params) -> StripeObject:
    wanted = {name: params.get(name) for name in ("charge", "payment_intent")}
    return page(params, "/v1/refunds", world.all("refund", **wanted))


@endpoint("POST", "/v1/refunds/{refund}", "RefundUpdateParams", "metadata")
def update(world: AccountState, params: Params, refund: str) -> StripeObject:
    found = world.get("refund", refund)
    with world.changing(found, "refund.updated"):
        found["metadata"] = merge_metadata(found["metadata"], params)
    return found


def _charge_of(world: AccountState, params: Params) -> StripeObject:
    if ("charge" in params) == ("payment_intent" in params):
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    if "charge" in params:
        return world.get("charge", params["charge"], "charge")
    intent = world.get("payment_intent", params["payment_intent"], "payment_intent")
    if intent["status"] != "succeeded":
        raise invalid(f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.")
    return world.get("charge", intent["latest_charge"], "charge")


def _check(world: AccountState, charge: StripeObject, amount: int) -> None:
    left = charge["amount"] - charge["amount_refunded"]
    if charge["status"] != "succeeded":
        raise invalid(f"Charge {charge['id']} has not been paid.", param="charge")
    if world.all("dispute", charge=charge["id"], is_charge_refundable=False):
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise invalid(message, code="charge_disputed")
    if charge["refunded"]:
        message = f"Charge {charge['id']} has already been refunded."
        raise invalid(message, code="charge_already_refunded")
    if amount < 1:
        raise invalid("Invalid positive integer", param="amount", code="parameter_invalid_integer")
    if amount > left:
        message = f"Refund amount (${amount / 100:.2f}) is greater than unrefunded amount on charge (${left / 100:.2f})"
        raise invalid(message, param="amount")


def _of_charge(world: AccountState, charge: StripeObject) -> StripeObject:
    found = world.all("refund", charge=charge["id"])[::-1]
    return listed(found[:10], f"/v1/charges/{charge['id']}/refunds", has_more=len(found) > 10)


INCLUDABLE[("charge", "refunds")] = _of_charge
