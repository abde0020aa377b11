"""Subscriptions of the Stripe simulator, through months that pass at once."""

import re
from datetime import UTC, datetime
from urllib.request import urlopen

import pytest
import stripe

from simulators.stripe import StripeSimulator
from simulators.stripe.billing.cycles import add_months
from tests.support.stripe.stripe_calls import item_of, subscribe

SECRET = ["latest_invoice.confirmation_secret"]


def unpaid(client: stripe.StripeClient, **more: object) -> stripe.Subscription:
    """A subscription whose first payment the app has yet to make."""
    customer = client.v1.customers.create({"email": "ada@example.com"})
    params = {
        "customer": customer.id,
        "items": [{"price": "price_premium_monthly"}],
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "expand": SECRET,
    }
    return client.v1.subscriptions.create(params | more)


def status(client: stripe.StripeClient, subscription: stripe.Subscription) -> str:
    return client.v1.subscriptions.retrieve(subscription.id).status


def types_of(simulator: StripeSimulator) -> list[str]:
    return [event["type"] for event in simulator.objects("event")]


class TestBeginning:
    def test_the_app_makes_the_first_payment(self, simulator, client):
        made = unpaid(client)
        assert (made.status, made.latest_invoice.status) == ("incomplete", "open")
        simulator.pay_intent(made.latest_invoice.confirmation_secret.client_secret)
        now = client.v1.subscriptions.retrieve(
            made.id, {"expand": ["latest_invoice.payments", "default_payment_method"]}
        )
        assert (now.status, now.default_payment_method.card.last4) == ("active", "4242")
        invoice = now.latest_invoice
        assert (invoice.status, invoice.amount_paid, invoice.billing_reason) == ("paid", 999, "subscription_create")
        assert invoice.parent.subscription_details.subscription == made.id
        assert invoice.lines.data[0].pricing.price_details.price == "price_premium_monthly"
        payment = invoice.payments.data[0]
        assert client.v1.invoice_payments.list({"invoice": invoice.id}).data[0].id == payment.id
        assert client.v1.payment_intents.retrieve(payment.payment.payment_intent).status == "succeeded"
        assert {"invoice.paid", "invoice_payment.paid", "customer.subscription.updated"} <= set(types_of(simulator))

    def test_a_first_payment_may_fail_and_be_made_again(self, simulator, client):
        made = unpaid(client)
        secret = made.latest_invoice.confirmation_secret.client_secret
        assert simulator.pay_intent(secret, "pm_card_chargeDeclined")["status"] == "requires_payment_method"
        assert status(client, made) == "incomplete"
        assert simulator.pay_intent(secret, "pm_card_authenticationRequired")["status"] == "requires_action"
        simulator.complete_3ds(secret)
        assert status(client, made) == "active"

    def test_it_expires_when_it_is_not_paid_within_23_hours(self, simulator, client):
        made = unpaid(client)
        simulator.advance_clock(hours=22.9)
        assert status(client, made) == "incomplete"
        simulator.advance_clock(hours=0.2)
        assert status(client, made) == "incomplete_expired"
        assert client.v1.invoices.retrieve(made.latest_invoice.id).status == "void"
        assert {intent["status"] for intent in simulator.objects("payment_intent")} == {"canceled"}

    def test_a_card_on_file_is_charged_at_once(self, client):
        assert subscribe(client).status == "active"
        assert subscribe(client, "pm_card_chargeCustomerFail").status == "incomplete"

    def test_error_if_incomplete_leaves_nothing_behind(self, simulator, client):
        with pytest.raises(stripe.CardError):
            subscribe(client, "pm_card_chargeCustomerFail", payment_behavior="error_if_incomplete")
        assert simulator.objects("subscription") == simulator.objects("invoice") == []

    def test_a_trial_costs_nothing_until_it_ends(self, simulator, client):
        made = subscribe(client, trial_period_days=7)
        assert made.status == "trialing"
        assert client.v1.invoices.retrieve(made.latest_invoice).amount_due == 0
        simulator.advance_clock(days=7, hours=2)
        assert status(client, made) == "active"
        assert [invoice.total for invoice in client.v1.invoices.list({"subscription": made.id}).data] == [999, 0]
        assert "customer.subscription.trial_will_end" in types_of(simulator)


class TestMonths:
    def test_each_month_is_invoiced_and_paid(self, simulator, client):
        made = subscribe(client)
        start = item_of(made).current_period_start
        simulator.advance_clock(days=100)
        now = client.v1.subscriptions.retrieve(made.id)
        assert item_of(now).current_period_start == add_months(start, 3)
        assert item_of(now).current_period_end == add_months(start, 4)
        invoices = client.v1.invoices.list({"subscription": made.id, "status": "paid"}).data
        assert [one.billing_reason for one in invoices] == ["subscription_cycle"] * 3 + ["subscription_create"]
        assert types_of(simulator).count("invoice.upcoming") == 3

    def test_months_end_on_their_last_day(self):
        start = int(datetime(2027, 1, 31, 12, tzinfo=UTC).timestamp())
        ends = [datetime.fromtimestamp(add_months(start, number), UTC).strftime("%m-%d") for number in range(1, 4)]
        assert ends == ["02-28", "03-31", "04-30"]

    def test_dunning_ends_in_cancellation(self, simulator, client):
        made = failing(client)
        simulator.advance_clock(days=32)
        assert status(client, made) == "past_due"
        assert client.v1.invoices.retrieve(_latest(client, made)).next_payment_attempt > simulator.now()
        simulator.advance_clock(days=16)
        now = client.v1.subscriptions.retrieve(made.id)
        assert (now.status, now.cancellation_details.reason) == ("canceled", "payment_failed")
        assert client.v1.invoices.retrieve(now.latest_invoice).attempt_count == 4

    def test_dunning_can_end_unpaid(self, simulator, client):
        simulator.set_dunning([1], end="unpaid")
        made = failing(client)
        simulator.advance_clock(days=35)
        assert status(client, made) == "unpaid"
        client.v1.invoices.pay(_latest(client, made), {"payment_method": "pm_card_visa"})
        assert status(client, made) == "active"

    def test_a_new_card_recovers_it(self, simulator, client):
        made = failing(client)
        simulator.advance_clock(days=32)
        card = client.v1.payment_methods.attach("pm_card_visa", {"customer": made.customer})
        client.v1.subscriptions.update(made.id, {"default_payment_method": card.id})
        simulator.advance_clock(days=4)
        assert status(client, made) == "active"

    def test_a_renewal_may_need_the_customer(self, simulator, client):
        made = subscribe(client)
        card = client.v1.payment_methods.attach("pm_card_authenticationRequired", {"customer": made.customer})
        client.v1.subscriptions.update(made.id, {"default_payment_method": card.id})
        simulator.advance_clock(days=32)
        assert status(client, made) == "past_due"
        assert "invoice.payment_action_required" in types_of(simulator)
        invoice = client.v1.invoices.retrieve(_latest(client, made), {"expand": ["confirmation_secret"]})
        simulator.complete_3ds(invoice.confirmation_secret.client_secret)
        assert status(client, made) == "active"


def failing(client: stripe.StripeClient) -> stripe.Subscription:
    """An active subscription whose card will be declined from now on."""
    made = subscribe(client)
    card = client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": made.customer})
    return client.v1.subscriptions.update(made.id, {"default_payment_method": card.id})


def _latest(client: stripe.StripeClient, made: stripe.Subscription) -> str:
    return client.v1.subscriptions.retrieve(made.id).latest_invoice


class TestChanges:
    def test_an_upgrade_is_charged_for_the_rest_of_the_month(self, simulator, client):
        made = subscribe(client)
        days = (item_of(made).current_period_end - simulator.now()) / 86400
        simulator.advance_clock(days=days / 2)
        items = [{"id": item_of(made).id, "price": "price_enterprise_monthly"}]
        wanted = {"items": items, "proration_behavior": "always_invoice", "expand": ["latest_invoice"]}
        preview = {"subscription": made.id, "subscription_details": {key: wanted[key] for key in list(wanted)[:2]}}
        expected = client.v1.invoices.create_preview(preview).total
        now = client.v1.subscriptions.update(made.id, wanted)
        lines = now.latest_invoice.lines.data
        assert [line.parent.subscription_item_details.proration for line in lines] == [True, True]
        assert now.latest_invoice.total == expected == sum(line.amount for line in lines)
        assert 1998 <= now.latest_invoice.total <= 2002
        assert now.latest_invoice.status == "paid"

    def test_a_downgrade_is_credited_on_the_next_invoice(self, simulator, client):
        made = subscribe(client, items=[{"price": "price_enterprise_monthly"}])
        change = [{"id": item_of(made).id, "price": "price_premium_monthly"}]
        client.v1.subscriptions.update(made.id, {"items": change})
        assert len(client.v1.invoices.list({"subscription": made.id}).data) == 1
        simulator.advance_clock(days=32)
        renewal = client.v1.invoices.list({"subscription": made.id}).data[0]
        assert sorted(line.amount for line in renewal.lines.data) == [-4999, 999, 999]
        assert (renewal.amount_due, renewal.status) == (0, "paid")
        assert client.v1.customers.retrieve(made.customer).balance == -3001
        simulator.advance_clock(days=31)
        assert client.v1.invoices.list({"subscription": made.id}).data[0].amount_due == 0

    def test_cancelling_at_the_end_of_the_period_can_be_undone(self, simulator, client):
        made = subscribe(client)
        now = client.v1.subscriptions.update(made.id, {"cancel_at_period_end": True})
        assert (now.status, now.cancel_at) == ("active", item_of(made).current_period_end)
        now = client.v1.subscriptions.update(made.id, {"cancel_at_period_end": False})
        assert (now.cancel_at, now.canceled_at) == (None, None)
        client.v1.subscriptions.update(made.id, {"cancel_at_period_end": True})
        simulator.advance_clock(days=32)
        assert status(client, made) == "canceled"
        assert types_of(simulator)[-1] == "customer.subscription.deleted"
        assert len(simulator.objects("invoice")) == 1

    def test_it_is_cancelled_at_once_and_not_twice(self, client):
        made = subscribe(client)
        assert client.v1.subscriptions.cancel(made.id).status == "canceled"
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.subscriptions.cancel(made.id)
        assert client.v1.subscriptions.list({"customer": made.customer}).data == []
        assert len(client.v1.subscriptions.list({"customer": made.customer, "status": "all"}).data) == 1

    def test_a_pause_stops_the_invoices_until_it_is_resumed(self, simulator, client):
        made = subscribe(client)
        paused = client.v1.subscriptions.pause(made.id)
        assert (paused.status, paused.status_details.paused.subscription.type) == ("paused", "pause_requested")
        simulator.advance_clock(days=70)
        assert len(simulator.objects("invoice")) == 1
        resumed = client.v1.subscriptions.resume(made.id, {"billing_cycle_anchor": {"type": "now"}})
        assert resumed.status == "active"
        assert item_of(resumed).current_period_start >= simulator.now() - 5
        assert {"customer.subscription.paused", "customer.subscription.resumed"} <= set(types_of(simulator))

    def test_it_ends_with_its_customer(self, simulator, client):
        made = subscribe(client)
        simulator.delete_customer(made.customer)
        assert status(client, made) == "canceled"

    def test_a_subscription_can_get_two_invoices_for_one_period(self, simulator, client):
        made = subscribe(client)
        second = simulator.invoice_again(made.id)
        first = client.v1.invoices.retrieve(made.latest_invoice)
        assert second["status"] == "paid"
        assert second["lines"]["data"][0]["period"]["start"] == first.lines.data[0].period.start


def test_an_invoice_has_a_page_and_a_pdf(simulator, client):
    invoice = client.v1.invoices.retrieve(subscribe(client).latest_invoice)
    assert re.fullmatch(r"[A-Z0-9]{8}-0001", invoice.number)
    with urlopen(invoice.invoice_pdf, timeout=5) as response:
        assert response.headers["Content-Type"] == "application/pdf"
        assert response.read().startswith(b"%PDF-1.4")
    with urlopen(invoice.hosted_invoice_url, timeout=5) as response:
        assert invoice.number in response.read().decode()


def test_an_unpaid_invoice_can_be_voided_or_written_off(client):
    first, second = unpaid(client), failing(client)
    assert client.v1.invoices.void_invoice(first.latest_invoice.id).status == "void"
    assert status(client, first) == "incomplete_expired"
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.invoices.mark_uncollectible(second.latest_invoice)
