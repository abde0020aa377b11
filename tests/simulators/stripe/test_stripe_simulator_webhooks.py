"""Webhooks of the Stripe simulator: signed as the library wants it, retried, and misdelivered on demand."""

import json

import pytest
import stripe

from simulators.stripe import StripeSimulator, running_stripe_simulator
from simulators.stripe.webhooks.signing import TAMPERINGS
from tests.support.stripe.stripe_calls import Receiver, client_of, pay, receiving

SECRET = "whsec_simulator"
HISTORY = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


@pytest.fixture(scope="module")
def both():
    with receiving() as receiver, running_stripe_simulator(webhook_url=receiver.url) as simulator:
        yield simulator, receiver


@pytest.fixture
def simulator(both: tuple[StripeSimulator, Receiver]):
    both[0].wait_for_webhooks()
    both[0].reset()
    both[0].set_webhook(both[1].url, SECRET)
    both[0].set_retries(0.02)
    return both[0]


@pytest.fixture
def receiver(both: tuple[StripeSimulator, Receiver], simulator: StripeSimulator):
    both[1].requests.clear()
    both[1].answers.clear()
    return both[1]


def test_every_event_arrives_signed(simulator, receiver):
    intent = pay(client_of(simulator))
    assert simulator.wait_for_webhooks()
    assert sorted(receiver.types()) == sorted(HISTORY)
    for body, signature in receiver.requests:
        event = stripe.Webhook.construct_event(body, signature, SECRET)
        assert event.api_version == stripe.api_version
        assert event.data.object["id"] in (intent.id, intent.latest_charge)
        assert event.request.id.startswith("req_")


def test_while_a_secret_is_rolled_both_sign(simulator, receiver):
    simulator.set_webhook(receiver.url, ["whsec_old", "whsec_new"])
    pay(client_of(simulator))
    simulator.wait_for_webhooks()
    for secret in ("whsec_old", "whsec_new"):
        assert all(stripe.WebhookSignature.verify_header(*one, secret, tolerance=300) for one in receiver.requests)


def test_a_refused_webhook_is_tried_again_until_it_is_taken(simulator, receiver):
    receiver.answers = [500, 503, 302, 500]
    client = client_of(simulator)
    pay(client)
    assert simulator.wait_for_webhooks()
    assert len(receiver.requests) == 7
    assert client.v1.events.list({"delivery_success": False}).data == []


def test_the_api_does_not_wait_for_a_receiver_that_is_away(simulator):
    simulator.set_webhook("http://127.0.0.1:9/webhooks", SECRET)
    simulator.set_retries(0.01, max_attempts=3)
    client = client_of(simulator)
    assert pay(client).status == "succeeded"
    assert simulator.wait_for_webhooks()
    assert {one["result"] for one in simulator.deliveries()} == {"0"}
    assert len(client.v1.events.list({"delivery_success": False}).data) == 3


@pytest.mark.parametrize(
    ("order", "expected"),
    [("in_order", HISTORY), ("reversed", HISTORY[::-1])],
)
def test_held_webhooks_are_released_in_the_wanted_order(simulator, receiver, order, expected):
    simulator.hold_webhooks()
    pay(client_of(simulator))
    assert simulator.wait_for_webhooks()
    assert receiver.requests == []
    simulator.release_webhooks(order)
    assert simulator.wait_for_webhooks()
    assert receiver.types() == expected


def test_a_shuffle_is_the_same_for_the_same_seed(simulator, receiver):
    simulator.hold_webhooks()
    for _ in range(4):
        pay(client_of(simulator))
    held = simulator.held_webhooks()
    sent = simulator.release_webhooks("shuffled", seed=3, copies=2)
    assert simulator.wait_for_webhooks()
    assert [event["id"] for event in receiver.events()] == sent
    assert len(sent) == 2 * len(held)
    simulator.account.dispatcher.held = held
    assert simulator.release_webhooks("shuffled", seed=3, copies=2) == sent


def test_single_webhooks_are_dropped_doubled_and_delayed(simulator, receiver):
    simulator.drop_webhooks(types=["charge.succeeded"])
    simulator.duplicate_webhooks(types=["payment_intent.succeeded"])
    simulator.delay_webhooks(0.3, types=["payment_intent.created"])
    client = client_of(simulator)
    pay(client)
    assert simulator.wait_for_webhooks()
    assert receiver.types() == ["payment_intent.succeeded", "payment_intent.succeeded", "payment_intent.created"]
    assert [event.type for event in client.v1.events.list({"delivery_success": False}).data] == ["charge.succeeded"]
    pay(client)
    assert simulator.wait_for_webhooks()
    assert "charge.succeeded" in receiver.types()


def test_an_acknowledged_loss_counts_as_delivered(simulator, receiver):
    simulator.drop_webhooks(times=3, acknowledged=True)
    client = client_of(simulator)
    pay(client)
    assert simulator.wait_for_webhooks()
    assert receiver.requests == []
    assert len(client.v1.events.list({"delivery_success": True}).data) == 3


def test_chance_drops_and_doubles(simulator, receiver):
    simulator.set_chaos(drop=0.3, duplicate=0.3, max_delay=0.05, seed=1)
    for _ in range(20):
        pay(client_of(simulator))
    assert simulator.wait_for_webhooks()
    ids = [event["id"] for event in receiver.events()]
    assert 0 < len(set(ids)) < 60
    assert len(ids) > len(set(ids))


@pytest.mark.parametrize("how", TAMPERINGS)
def test_a_tampered_webhook_is_refused_or_odd(simulator, receiver, how):
    simulator.hold_webhooks()
    pay(client_of(simulator))
    event = simulator.held_webhooks()[0]
    assert simulator.redeliver(event["id"], how) == 200
    body, signature = receiver.requests[0]
    refused = {"body", "signature", "secret", "missing", "scheme", "old", "reserialized"}
    if how in refused:
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.WebhookSignature.verify_header(body, signature, SECRET, tolerance=300)
    elif how != "not_utf8":
        assert stripe.WebhookSignature.verify_header(body, signature, SECRET, tolerance=300)
    if how in ("livemode", "api_version", "unknown_type", "oversized", "future"):
        assert json.loads(body)["id"] == event["id"]


def test_any_event_can_be_made_up(simulator, receiver):
    intent = pay(client_of(simulator))
    simulator.change(intent.id, amount_received=1)
    simulator.emit_event("payment_intent.succeeded", intent.id)
    simulator.emit_event("radar.early_fraud_warning.created", {"id": "issfr_1", "object": "radar.early_fraud_warning"})
    assert simulator.wait_for_webhooks()
    assert receiver.types().count("payment_intent.succeeded") == 2
    assert client_of(simulator).v1.payment_intents.retrieve(intent.id).amount_received == 1
