"""The Stripe simulator as the real library sees it: payments, cards, customers, refunds, disputes, lists."""

import json
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
import stripe

from simulators.stripe import StripeSimulator
from tests.support.stripe.stripe_calls import client_of, pay


def types_of(simulator: StripeSimulator) -> list[str]:
    return [event["type"] for event in simulator.objects("event")]


class TestPayments:
    def test_an_app_pays_with_the_client_secret(self, simulator, client):
        customer = client.v1.customers.create({"email": "ada@example.com", "metadata": {"agentforge_user": "7"}})
        intent = client.v1.payment_intents.create(
            {"amount": 999, "currency": "usd", "customer": customer.id, "automatic_payment_methods": {"enabled": True}}
        )
        assert (intent.status, intent.amount_received) == ("requires_payment_method", 0)
        paid = as_app(simulator, intent.id, {"client_secret": intent.client_secret, "payment_method": "pm_card_visa"})
        assert paid["status"] == "succeeded"
        assert "customer" not in paid
        intent = client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge", "payment_method"]})
        assert (intent.amount_received, intent.latest_charge.paid) == (999, True)
        assert intent.payment_method.id != "pm_card_visa"
        assert types_of(simulator)[-2:] == ["charge.succeeded", "payment_intent.succeeded"]

    def test_an_app_needs_the_right_secret_and_may_do_nothing_else(self, simulator, client):
        intent = client.v1.payment_intents.create({"amount": 999, "currency": "usd"})
        with pytest.raises(HTTPError) as wrong:
            as_app(simulator, intent.id, {"client_secret": "guessed", "payment_method": "pm_card_visa"})
        wrong.value.close()
        assert wrong.value.code == 400
        with pytest.raises(stripe.PermissionError):
            client_of(simulator, key=simulator.publishable_key).v1.customers.list()

    @pytest.mark.parametrize(
        ("card", "code", "decline"),
        [
            ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
            ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
            ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ],
    )
    def test_a_declined_intent_can_be_paid_later(self, simulator, client, card, code, decline):
        with pytest.raises(stripe.CardError) as declined:
            pay(client, card)
        error = declined.value.error
        assert (error.code, error.decline_code, error.payment_intent.status) == (
            code,
            decline,
            "requires_payment_method",
        )
        intent = client.v1.payment_intents.retrieve(error.payment_intent.id)
        assert intent.last_payment_error.decline_code == decline
        assert intent.payment_method is None
        params = {"payment_method": "pm_card_mastercard", "return_url": "https://example.com"}
        assert client.v1.payment_intents.confirm(intent.id, params).status == "succeeded"
        assert [charge.status for charge in client.v1.charges.list({"payment_intent": intent.id}).data] == [
            "succeeded",
            "failed",
        ]

    def test_3d_secure_asks_the_customer_who_passes_or_fails(self, simulator, client):
        first = pay(client, "pm_card_authenticationRequired")
        assert (first.status, first.next_action.type) == ("requires_action", "use_stripe_sdk")
        assert simulator.complete_3ds(first.client_secret)["status"] == "succeeded"
        second = pay(client, "pm_card_authenticationRequired", return_url="https://example.com")
        assert second.next_action.redirect_to_url.return_url == "https://example.com"
        failed = simulator.fail_3ds(second.id)
        assert failed["status"] == "requires_payment_method"
        assert failed["last_payment_error"]["code"] == "payment_intent_authentication_failure"

    def test_authentication_is_impossible_off_session(self, client):
        with pytest.raises(stripe.CardError) as refused:
            pay(client, "pm_card_authenticationRequired", off_session=True)
        assert refused.value.code == "authentication_required"

    def test_confirming_wants_a_return_url_unless_redirects_are_ruled_out(self, client):
        with pytest.raises(stripe.InvalidRequestError, match="return_url"):
            pay(client, automatic_payment_methods={"enabled": True})

    def test_a_finished_intent_does_not_move(self, client):
        paid = pay(client)
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client.v1.payment_intents.cancel(paid.id)
        assert refused.value.code == "payment_intent_unexpected_state"
        canceled = client.v1.payment_intents.create({"amount": 100, "currency": "usd"})
        assert client.v1.payment_intents.cancel(canceled.id).status == "canceled"
        with pytest.raises(stripe.InvalidRequestError, match="status of canceled"):
            client.v1.payment_intents.confirm(canceled.id, {"payment_method": "pm_card_visa"})

    def test_a_slow_bank_leaves_it_processing(self, simulator, client):
        simulator.keep_processing()
        intent = pay(client)
        assert (intent.status, intent.amount_received) == ("processing", 0)
        assert simulator.settle_processing(intent.id)["status"] == "succeeded"
        other = pay(client)
        assert simulator.settle_processing(other.id, succeeds=False)["status"] == "requires_payment_method"

    def test_too_small_an_amount_is_refused(self, client):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client.v1.payment_intents.create({"amount": 49, "currency": "usd"})
        assert refused.value.code == "amount_too_small"


def as_app(simulator: StripeSimulator, intent: str, form: dict[str, str]) -> dict[str, object]:
    """A client like Stripe's library for apps, with the publishable key only."""
    headers = {"Authorization": f"Bearer {simulator.publishable_key}"}
    request = Request(f"{simulator.url}/v1/payment_intents/{intent}/confirm", urlencode(form).encode(), headers)
    with urlopen(request, timeout=5) as response:
        return json.load(response)


class TestCustomersAndCards:
    def test_a_saved_card_is_the_customers_alone(self, client):
        ada, bob = (client.v1.customers.create({"name": name}) for name in ("Ada", "Bob"))
        card = client.v1.payment_methods.attach("pm_card_visa", {"customer": ada.id})
        assert (card.card.last4, card.customer) == ("4242", ada.id)
        assert pay(client, card.id, customer=ada.id).status == "succeeded"
        with pytest.raises(stripe.InvalidRequestError, match="belongs to the customer"):
            pay(client, card.id, customer=bob.id)
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.payment_methods.attach(card.id, {"customer": bob.id})
        client.v1.customers.update(ada.id, {"invoice_settings": {"default_payment_method": card.id}})
        client.v1.payment_methods.detach(card.id)
        assert client.v1.customers.retrieve(ada.id).invoice_settings.default_payment_method is None
        assert client.v1.customers.payment_methods.list(ada.id).data == []
        with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
            client.v1.payment_methods.attach(card.id, {"customer": ada.id})

    def test_a_bad_card_is_declined_when_it_is_saved_or_only_when_charged(self, client):
        customer = client.v1.customers.create({})
        with pytest.raises(stripe.CardError):
            client.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer.id})
        later = client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
        with pytest.raises(stripe.CardError):
            pay(client, later.id, customer=customer.id)

    def test_paying_can_save_the_card(self, client):
        customer = client.v1.customers.create({})
        pay(client, customer=customer.id)
        assert client.v1.payment_methods.list({"customer": customer.id}).data == []
        pay(client, customer=customer.id, setup_future_usage="off_session")
        assert len(client.v1.payment_methods.list({"customer": customer.id}).data) == 1

    def test_an_app_can_make_a_payment_method_of_a_test_number(self, simulator, client):
        app = client_of(simulator, key=simulator.publishable_key)
        card = {"number": "5555555555554444", "exp_month": 1, "exp_year": 2040, "cvc": "123"}
        assert app.v1.payment_methods.create({"type": "card", "card": card}).card.brand == "mastercard"

    def test_a_deleted_customer_leaves_a_stub(self, simulator, client):
        customer = client.v1.customers.create({"email": "ada@example.com"})
        card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
        simulator.delete_customer(customer.id)
        assert client.v1.customers.retrieve(customer.id).deleted is True
        assert client.v1.customers.list({"email": "ada@example.com"}).data == []
        assert client.v1.payment_methods.retrieve(card.id).customer is None
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client.v1.payment_intents.create({"amount": 100, "currency": "usd", "customer": customer.id})
        assert (refused.value.code, refused.value.param) == ("resource_missing", "customer")

    def test_metadata_is_merged_and_emptied(self, client):
        customer = client.v1.customers.create({"metadata": {"a": "1", "b": "2"}})
        customer = client.v1.customers.update(customer.id, {"metadata": {"a": "", "c": "3"}})
        assert customer.metadata.to_dict() == {"b": "2", "c": "3"}
        assert client.v1.customers.update(customer.id, {"metadata": ""}).metadata.to_dict() == {}


class TestRefundsAndDisputes:
    def test_refunds_add_up_to_the_charge_and_no_further(self, simulator, client):
        intent = pay(client)
        part = client.v1.refunds.create({"payment_intent": intent.id, "amount": 400, "reason": "requested_by_customer"})
        with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
            client.v1.refunds.create({"charge": intent.latest_charge, "amount": 600})
        client.v1.refunds.create({"charge": intent.latest_charge})
        charge = client.v1.charges.retrieve(intent.latest_charge, {"expand": ["refunds"]})
        assert (charge.amount_refunded, charge.refunded, len(charge.refunds.data)) == (999, True, 2)
        with pytest.raises(stripe.InvalidRequestError) as again:
            client.v1.refunds.create({"charge": charge.id})
        assert again.value.code == "charge_already_refunded"
        simulator.fail_refund(part.id)
        assert client.v1.refunds.retrieve(part.id).status == "failed"
        assert client.v1.charges.retrieve(charge.id).amount_refunded == 599
        assert {"refund.created", "charge.refunded", "refund.failed", "refund.updated"} <= set(types_of(simulator))

    def test_cards_exist_whose_refunds_take_time_or_fail(self, simulator, client):
        pending = client.v1.refunds.create({"payment_intent": pay(client, "pm_card_pendingRefund").id})
        failing = client.v1.refunds.create({"payment_intent": pay(client, "pm_card_refundFail").id})
        assert (pending.status, failing.status) == ("pending", "succeeded")
        simulator.advance_clock(hours=2)
        assert client.v1.refunds.retrieve(pending.id).status == "succeeded"
        assert client.v1.refunds.retrieve(failing.id).status == "failed"

    def test_a_dispute_takes_the_money_and_may_give_it_back(self, simulator, client):
        intent = pay(client)
        dispute = simulator.create_dispute(intent.id)
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client.v1.refunds.create({"payment_intent": intent.id})
        assert refused.value.code == "charge_disputed"
        assert (
            client.v1.disputes.update(dispute["id"], {"evidence": {"uncategorized_text": "x"}}).status == "under_review"
        )
        simulator.move_dispute(dispute["id"], "lost")
        simulator.move_dispute(dispute["id"], "appeal_under_review")
        simulator.move_dispute(dispute["id"], "won")
        assert [one for one in types_of(simulator) if "dispute" in one] == [
            "charge.dispute.created",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.updated",
            "charge.dispute.closed",
            "charge.dispute.updated",
            "charge.dispute.closed",
            "charge.dispute.funds_reinstated",
        ]

    def test_an_inquiry_moves_no_money_and_can_be_refunded(self, simulator, client):
        intent = pay(client, "pm_card_createDisputeInquiry")
        inquiry = client.v1.disputes.list({"payment_intent": intent.id}).data[0]
        assert (inquiry.status, inquiry.balance_transactions) == ("warning_needs_response", [])
        assert client.v1.refunds.create({"payment_intent": intent.id}).status == "succeeded"
        assert client.v1.disputes.close(inquiry.id).status == "warning_closed"
