"""The shape of a new subscription."""

from copy import deepcopy
from typing import Any

from simulators.stripe.billing import catalog
from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.paging import listed
from simulators.stripe.state.parameters import Params, merge_metadata

_NONE = (
    "application application_fee_percent billing_cycle_anchor_config billing_thresholds cancel_at canceled_at "
    "customer_account days_until_due default_source ended_at next_pending_invoice_item_invoice on_behalf_of "
    "pause_collection pending_invoice_item_interval pending_setup_intent pending_update schedule status_details "
    "test_clock transfer_data trial_end trial_start latest_invoice"
)


def new_subscription(
    world: AccountState, customer: StripeObject, price: StripeObject, quantity: int, params: Params, method: str | None
) -> StripeObject:
    """An incomplete subscription with its one item, before its first period."""
    now = world.now()
    made = world.add(
        "sub",
        "subscription",
        **_blank(),
        billing_cycle_anchor=now,
        billing_mode={"flexible": {"proration_discounts": "included"}, "type": "flexible", "updated_at": now},
        cancel_at_period_end=params.get("cancel_at_period_end", False),
        cancellation_details={"comment": None, "feedback": None, "reason": None},
        collection_method="charge_automatically",
        currency=price["currency"],
        customer=customer["id"],
        default_payment_method=method,
        description=params.get("description"),
        metadata=merge_metadata({}, params),
        payment_settings=payment_settings({}, params),
        start_date=now,
        status="incomplete",
    )
    item = _new_item(world, made, price, quantity)
    made["items"] = listed([item], f"/v1/subscription_items?subscription={made['id']}")
    if made["cancel_at_period_end"]:
        made["canceled_at"] = now
    return made


def _blank() -> dict[str, Any]:
    at_the_end = {"billing_cycle_anchor": None, "missing_payment_method": "create_invoice"}
    return dict.fromkeys(_NONE.split()) | {
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_schedules": [],
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "trial_settings": {"end_behavior": at_the_end},
    }


def _new_item(world: AccountState, made: StripeObject, price: StripeObject, quantity: int) -> StripeObject:
    now = world.now()
    return world.add(
        "si",
        "subscription_item",
        billing_thresholds=None,
        current_period_end=now,
        current_period_start=now,
        discounts=[],
        plan=catalog.plan_of(price),
        price=deepcopy(price),
        quantity=quantity,
        subscription=made["id"],
        tax_rates=[],
    )


def payment_settings(present: dict[str, Any], params: Params) -> dict[str, Any]:
    """The payment settings after the request `params`."""
    empty = {"payment_method_options": None, "payment_method_types": None, "save_default_payment_method": "off"}
    return empty | present | (params.get("payment_settings") or {})
