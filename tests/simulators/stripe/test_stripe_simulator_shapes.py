"""The simulator's responses and parameters match the installed library's types."""

import json
from urllib.request import Request, urlopen

import pytest
import stripe
import stripe.params

from simulators.stripe import StripeSimulator, running_stripe_simulator
from simulators.stripe.state.parameters import fields_of as parameters_of
from simulators.stripe.state.routing import ROUTES
from tests.support.stripe.stripe_calls import client_of, item_of, pay, subscribe
from tests.support.stripe.stripe_shapes import CLASSES, problems

REMOVED = {
    "subscription": ["current_period_start", "current_period_end", "discount", "plan", "quantity"],
    "invoice": [
        "payment_intent",
        "charge",
        "paid",
        "paid_out_of_band",
        "subscription",
        "subscription_details",
        "tax",
        "total_tax_amounts",
        "discount",
    ],
    "payment_intent": ["invoice", "charges"],
    "charge": ["invoice"],
}


@pytest.fixture(scope="module")
def busy():
    """A simulator in which every kind of object has been through something."""
    with running_stripe_simulator() as simulator:
        client = client_of(simulator)
        simulator.refund(pay(client).id, 300)
        pay(client, "pm_card_createDispute")
        inquiry = simulator.create_dispute(pay(client).id, inquiry=True)["id"]
        simulator.move_dispute(inquiry, "needs_response")
        simulator.move_dispute(inquiry, "won")
        simulator.fail_refund(simulator.refund(pay(client, "pm_card_refundFail").id)["id"])
        with pytest.raises(stripe.CardError):
            pay(client, "pm_card_chargeDeclinedInsufficientFunds")
        simulator.fail_3ds(pay(client, "pm_card_authenticationRequired").id)
        pay(client, "pm_card_authenticationRequired", return_url="https://example.com")
        canceled = client.v1.payment_intents.create({"amount": 100, "currency": "usd"})
        client.v1.payment_intents.cancel(canceled.id, {"cancellation_reason": "abandoned"})
        subscription = subscribe(client)
        change = [{"id": item_of(subscription).id, "price": "price_enterprise_monthly"}]
        client.v1.subscriptions.update(subscription.id, {"items": change, "proration_behavior": "always_invoice"})
        subscribe(client, payment_behavior="default_incomplete")
        subscribe(client, trial_period_days=7)
        subscribe(client, "pm_card_chargeCustomerFail")
        client.v1.subscriptions.pause(subscribe(client).id)
        client.v1.subscriptions.cancel(subscribe(client).id)
        simulator.advance_clock(days=40)
        yield simulator


@pytest.mark.parametrize("kind", sorted(set(CLASSES) - {"balance_transaction"}))
def test_objects_have_the_fields_of_the_library_and_no_others(busy: StripeSimulator, kind: str):
    found = busy.objects(kind)
    assert found
    assert {problem for one in found for problem in problems(one)} == set()


def test_snapshots_in_events_have_them_too(busy: StripeSimulator):
    events = [event for event in busy.objects("event") if event["type"] != "invoice.upcoming"]
    assert {problem for event in events for problem in problems(event["data"]["object"])} == set()
    assert len({event["type"] for event in events}) > 30


@pytest.mark.parametrize("kind", REMOVED)
def test_fields_that_were_removed_from_the_api_are_gone(busy: StripeSimulator, kind: str):
    assert [name for one in busy.objects(kind) for name in REMOVED[kind] if name in one] == []
    assert [name for name in ("price", "plan", "proration", "subscription_item") if name in _some_line(busy)] == []


def _some_line(simulator: StripeSimulator) -> dict[str, object]:
    return simulator.objects("invoice")[0]["lines"]["data"][0]


def test_expanded_parts_have_the_fields_of_the_library(busy: StripeSimulator):
    invoice = busy.objects("invoice")[0]["id"]
    shown = _get(busy, f"/v1/invoices/{invoice}?expand[]=payments&expand[]=confirmation_secret&expand[]=customer")
    assert shown["payments"]["data"][0]["payment"]["payment_intent"].startswith("pi_")
    assert shown["customer"]["object"] == "customer"
    assert problems(shown) == []
    charge = _get(busy, f"/v1/charges/{busy.objects('refund')[0]['charge']}?expand[]=refunds&expand[]=payment_intent")
    assert charge["refunds"]["data"][0]["object"] == "refund"
    assert problems(charge) == []


def _get(simulator: StripeSimulator, path: str) -> dict[str, object]:
    request = Request(simulator.url + path, headers={"Authorization": f"Bearer {simulator.secret_key}"})
    with urlopen(request, timeout=5) as response:
        return json.load(response)


def test_a_preview_is_an_invoice_that_was_never_made(busy: StripeSimulator):
    client = client_of(busy)
    subscription = client.v1.subscriptions.list({"status": "active"}).data[0]
    other = [{"id": item_of(subscription).id, "price": "price_premium_monthly"}]
    before = len(busy.objects("invoice"))
    details = {"items": other, "proration_behavior": "always_invoice"}
    preview = client.v1.invoices.create_preview({"subscription": subscription.id, "subscription_details": details})
    assert problems(json.loads(json.dumps(preview.to_dict(), default=str))) == []
    assert len(busy.objects("invoice")) == before


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.takes}")
def test_supported_parameters_are_parameters_of_the_library(route):
    known = set(parameters_of(getattr(stripe.params, route.takes)))
    assert route.supported - known <= {"created"}  # which not all lists can be filtered by


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"amount": 100, "currency": "usd", "colour": "red"}, "parameter_unknown", "colour"),
        (
            {"amount": 100, "currency": "usd", "automatic_payment_methods": {"enabled": True, "x": 1}},
            "parameter_unknown",
            "automatic_payment_methods[x]",
        ),
        ({"currency": "usd"}, "parameter_missing", "amount"),
        ({"amount": "ten", "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": 100, "currency": "usd", "capture_method": "sometimes"}, None, "capture_method"),
        ({"amount": 100, "currency": "usd", "confirm": "perhaps"}, None, "confirm"),
        ({"amount": 100, "currency": "usd", "transfer_data": {"destination": "x"}}, "simulator_unsupported", None),
    ],
)
def test_parameters_that_the_library_does_not_know_are_refused(busy: StripeSimulator, params, code, param):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client_of(busy).v1.payment_intents.create(params)
    assert caught.value.http_status == 400
    assert caught.value.code == code
    assert param is None or caught.value.param == param
