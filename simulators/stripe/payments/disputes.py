"""Disputes, created by controls or by test cards, and moved on by controls."""

from typing import Any

from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import invalid
from simulators.stripe.state.paging import page
from simulators.stripe.state.parameters import Params, merge_metadata
from simulators.stripe.state.routing import endpoint

_DUE_IN = 7 * 24 * 3600  # seconds to respond
CLOSED = ("won", "lost", "warning_closed", "prevented")
_EVIDENCE = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal "
    "customer_communication customer_email_address customer_name customer_purchase_ip customer_signature "
    "duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt "
    "refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation "
    "shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number "
    "uncategorized_file uncategorized_text"
)


def make(
    world: AccountState, charge: StripeObject, status: str, amount: int | None = None, reason: str = "fraudulent"
) -> StripeObject:
    """Dispute a charge on behalf of the bank; `warning_*` is an inquiry, which moves no money yet."""
    inquiry = status.startswith("warning_")
    dispute = world.add(
        "dp",
        "dispute",
        amount=charge["amount"] if amount is None else amount,
        balance_transactions=[],
        charge=charge["id"],
        currency=charge["currency"],
        enhanced_eligibility_types=[],
        evidence=dict.fromkeys(_EVIDENCE.split()) | {"enhanced_evidence": {}},
        evidence_details=_evidence_details(world),
        is_charge_refundable=inquiry,
        network_reason_code="10.4",
        payment_intent=charge["payment_intent"],
        payment_method_details=_card_details(charge, "inquiry" if inquiry else "chargeback"),
        reason=reason,
        status=status,
    )
    charge["disputed"] = True
    world.emit("charge.dispute.created", dispute)
    if not inquiry:
        _move_funds(world, dispute, "withdrawn")
    return dispute


def _card_details(charge: StripeObject, case_type: str) -> StripeObject:
    brand = charge["payment_method_details"]["card"]["brand"]
    card = {"brand": brand, "case_type": case_type, "network": brand, "network_reason_code": "10.4"}
    return {"card": card, "type": "card"}


def _evidence_details(world: AccountState) -> StripeObject:
    return {
        "due_by": world.now() + _DUE_IN,
        "enhanced_eligibility": {},
        "has_evidence": False,
        "past_due": False,
        "submission_count": 0,
        "submission_method": "not_submitted",
    }


def move(world: AccountState, dispute: StripeObject, status: str) -> None:
    """Apply the bank's decision; an inquiry may become a dispute, and a lost one may be appealed."""
    before = dispute["status"]
    if before == status:
        return
    if status == "needs_response" and before.startswith("warning_"):
        _move_funds(world, dispute, "withdrawn")
        dispute["is_charge_refundable"] = False
    dispute["status"] = status
    kind = "charge.dispute.closed" if status in CLOSED else "charge.dispute.updated"
    world.emit(kind, dispute, {"status": before})
    if status == "won" and dispute["balance_transactions"]:
        _move_funds(world, dispute, "reinstated")


def _move_funds(world: AccountState, dispute: StripeObject, where: str) -> None:
    amount = dispute["amount"] if where == "reinstated" else -dispute["amount"]
    transaction: dict[str, Any] = {
        "id": world.new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": world.now(),
        "balance_type": "payments",
        "created": world.now(),
        "currency": dispute["currency"],
        "description": f"Chargeback {where} for {dispute['charge']}",
        "exchange_rate": None,
        "fee": 1500 if where == "withdrawn" else 0,
        "fee_details": [],
        "net": amount - (1500 if where == "withdrawn" else 0),
        "reporting_category": "dispute" if where == "withdrawn" else "dispute_reversal",
        "source": dispute["id"],
        "status": "available",
        "type": "adjustment",
    }
    dispute["balance_transactions"] = [*dispute["balance_transactions"], transaction]
    world.emit(f"charge.dispute.funds_{where}", dispute)


@endpoint("GET", "/v1/disputes/{dispute}", "DisputeRetrieveParams")
def retrieve(world: AccountState, params: Params, dispute: str) -> StripeObject:
    return world.get("dispute", dispute)


@endpoint("GET", "/v1/disputes", "DisputeListParams", "charge payment_intent")
def index(world: AccountState, params: Params) -> StripeObject:
    wanted = {name: params.get(name) for name in ("charge", "payment_intent")}
    return page(params, "/v1/disputes", world.all("dispute", **wanted))


@endpoint("POST", "/v1/disputes/{dispute}", "DisputeUpdateParams", "evidence metadata submit")
def update(world: AccountState, params: Params, dispute: str) -> StripeObject:
    found = world.get("dispute", dispute)
    if found["status"] in CLOSED:
        raise invalid("This dispute is already closed.")
    with world.changing(found, "charge.dispute.updated"):
        found["metadata"] = merge_metadata(found["metadata"], params)
        if given := params.get("evidence"):
            found["evidence"] = found["evidence"] | given
            found["evidence_details"] = found["evidence_details"] | {"has_evidence": True}
            if params.get("submit", True):
                found["status"] = found["status"].replace("needs_response", "under_review")
                found["evidence_details"] |= {"submission_count": 1, "submission_method": "manual"}
    return found


@endpoint("POST", "/v1/disputes/{dispute}/close", "DisputeCloseParams")
def close(world: AccountState, params: Params, dispute: str) -> StripeObject:
    found = world.get("dispute", dispute)
    if found["status"] in CLOSED:
        raise invalid("This dispute is already closed.")
    move(world, found, "warning_closed" if found["status"].startswith("warning_") else "lost")
    return found
