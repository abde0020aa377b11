"""The gateway against the simulated Stripe, which checks every parameter against the SDK's own types."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from simulators.stripe import StripeSimulator, running_stripe_simulator
from workers.gateways.stripe.errors import StripeDeclined, StripeMisconfigured, StripeRefused
from workers.gateways.stripe.gateway import StripeGateway

PREMIUM, ENTERPRISE = "price_premium_monthly", "price_enterprise_monthly"


@pytest.fixture(scope="module")
def server() -> Iterator[StripeSimulator]:
    with running_stripe_simulator() as simulator:
        yield simulator


@pytest.fixture
def stripe(server: StripeSimulator) -> StripeSimulator:
    server.reset()
    return server


@pytest.fixture
def gateway(stripe: StripeSimulator) -> StripeGateway:
    return StripeGateway(stripe.secret_key, stripe.url, retries=0)


@pytest.fixture
def customer(gateway: StripeGateway) -> str:
    return gateway.create_customer(uuid4(), email="ada@example.com", name="Ada", key="customer")["id"]


def pay(gateway: StripeGateway, customer: str, card: str | None = "pm_card_visa", key: str = "pay") -> dict:
    return gateway.create_payment(
        customer=customer,
        amount=999,
        currency="usd",
        payment_method=card,
        description="100 credits",
        metadata={"agentforge_purchase": "7"},
        key=key,
    )


class TestCustomers:
    def test_one_is_found_by_our_id_even_if_others_share_its_address(self, gateway: StripeGateway):
        users = [uuid4(), uuid4()]
        made = [
            gateway.create_customer(user, email="shared@example.com", name="Ada", key=f"customer-{user}")["id"]
            for user in users
        ]
        assert [gateway.find_customer(user, "shared@example.com")["id"] for user in users] == made
        assert [gateway.find_customer(user, created=0)["id"] for user in users] == made
        assert gateway.find_customer(uuid4(), "shared@example.com") is None

    def test_a_deleted_one_says_so(self, gateway: StripeGateway, stripe: StripeSimulator, customer: str):
        stripe.delete_customer(customer)
        assert gateway.customer(customer)["deleted"] is True


class TestPayments:
    def test_the_same_key_makes_the_same_payment(self, gateway: StripeGateway, customer: str):
        assert pay(gateway, customer)["id"] == pay(gateway, customer)["id"]
        assert [one["status"] for one in gateway.payments(customer=customer)] == ["succeeded"]

    def test_one_that_waits_can_be_paid_by_the_app_or_canceled_by_us(
        self, gateway: StripeGateway, stripe: StripeSimulator, customer: str
    ):
        stripe.pay_intent(pay(gateway, customer, None)["client_secret"])
        other = pay(gateway, customer, None, key="other")
        assert gateway.cancel_payment(other["id"], key="cancel")["status"] == "canceled"
        assert [one["status"] for one in gateway.payments(created=0)] == ["canceled", "succeeded"]
        assert gateway.payment(other["id"])["status"] == "canceled"

    def test_a_declined_one_hands_over_its_intent(self, gateway: StripeGateway, customer: str):
        with pytest.raises(StripeDeclined) as raised:
            pay(gateway, customer, "pm_card_chargeDeclinedExpiredCard")
        assert raised.value.code == "expired_card"
        assert raised.value.payment_intent["metadata"] == {"agentforge_purchase": "7"}

    def test_a_wrong_key_of_ours_is_an_operators_matter(self, stripe: StripeSimulator):
        with pytest.raises(StripeMisconfigured):
            StripeGateway("sk_test_nobodys", stripe.url, retries=0).payment("pi_1")

    def test_what_came_back_is_read(self, gateway: StripeGateway, stripe: StripeSimulator, customer: str):
        paid = pay(gateway, customer)
        refund = stripe.refund(paid["id"], 100)
        dispute = stripe.create_dispute(paid["id"], amount=500)
        assert gateway.refund(refund["id"])["amount"] == 100
        assert [one["id"] for one in gateway.refunds(charge=refund["charge"])] == [refund["id"]]
        assert [one["id"] for one in gateway.refunds(created=0)] == [refund["id"]]
        assert gateway.dispute(dispute["id"])["status"] == "needs_response"
        assert [one["id"] for one in gateway.disputes(created=0)] == [dispute["id"]]


class TestSubscriptions:
    @pytest.fixture
    def active(self, gateway: StripeGateway, stripe: StripeSimulator, customer: str) -> dict:
        card = gateway.attach("pm_card_visa", customer=customer, key="attach")["id"]
        gateway.set_default(card, customer=customer, key="default")
        made = gateway.create_subscription(
            customer=customer, price=PREMIUM, payment_method=card, metadata={"agentforge_request": "9"}, key="sub"
        )
        assert made["status"] == "active"
        return gateway.subscription(made["id"])

    def test_without_a_card_it_waits_for_the_app(self, gateway: StripeGateway, stripe: StripeSimulator, customer: str):
        made = gateway.create_subscription(
            customer=customer, price=PREMIUM, payment_method=None, metadata={}, key="sub"
        )
        assert made["status"] == "incomplete"
        stripe.pay_intent(made["latest_invoice"]["confirmation_secret"]["client_secret"])
        assert gateway.subscription(made["id"])["status"] == "active"

    def test_it_is_changed_canceled_and_taken_up_again(self, gateway: StripeGateway, active: dict):
        item, how = active["items"]["data"][0]["id"], {"payment_method": None}
        dear = gateway.change_price(active, item=item, price=ENTERPRISE, charge_now=True, key="up", **how)
        assert dear["items"]["data"][0]["price"]["id"] == ENTERPRISE
        cheap = gateway.change_price(dear, item=item, price=PREMIUM, charge_now=False, key="down", **how)
        ending = gateway.cancel_at_period_end(cheap, cancel=True, key="end")
        assert ending["cancel_at_period_end"] is True
        assert gateway.cancel_at_period_end(ending, cancel=False, key="go on")["cancel_at_period_end"] is False
        assert gateway.cancel_subscription(active["id"])["status"] == "canceled"

    def test_lists_have_ended_ones_and_invoices_their_payments(
        self, gateway: StripeGateway, active: dict, customer: str
    ):
        gateway.cancel_subscription(active["id"])
        assert [one["status"] for one in gateway.subscriptions(customer=customer)] == ["canceled"]
        [invoice] = gateway.invoices(created=0)
        assert invoice["payments"]["data"][0]["payment"]["payment_intent"].startswith("pi_")
        assert gateway.invoice(invoice["id"])["payments"] == invoice["payments"]

    def test_a_paused_one_is_resumed(self, gateway: StripeGateway, stripe: StripeSimulator, active: dict):
        stripe.pause_subscription(active["id"])
        assert gateway.subscription(active["id"])["status"] == "paused"
        gateway.unpause_subscription(active["id"], key="unpause")
        assert gateway.subscription(active["id"])["status"] == "active"

    def test_cards_are_kept_listed_and_forgotten(self, gateway: StripeGateway, customer: str):
        card = gateway.attach("pm_card_visa", customer=customer, key="attach")["id"]
        assert [one["id"] for one in gateway.payment_methods(customer)] == [card]
        gateway.detach(card, key="detach")
        assert gateway.payment_method(card)["customer"] is None
        with pytest.raises(StripeRefused):
            gateway.attach(card, customer=customer, key="again")


class TestEvents:
    def test_more_than_a_page_is_read_whole_and_newest_first(self, gateway: StripeGateway, stripe: StripeSimulator):
        customer = gateway.create_customer(uuid4(), email="a@example.com", name="Ada", key="c")["id"]
        emitted = [stripe.emit_event("payment_intent.created", customer)["id"] for _ in range(230)]
        found = [event["id"] for event in gateway.events(types=["payment_intent.created"], created=0)]
        assert found == emitted[::-1]

    def test_everything_is_json(self, gateway: StripeGateway, customer: str):
        pay(gateway, customer)
        assert json.dumps(list(gateway.events()))
