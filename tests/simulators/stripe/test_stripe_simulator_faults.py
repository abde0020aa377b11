"""Calls of the Stripe simulator that fail, and what its idempotency keys make of a second try."""

import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import stripe

from devstack.processes.process import wait_until
from simulators.stripe import StripeSimulator, running_stripe_simulator
from tests.support.stripe.stripe_calls import HERE, client_of

INTENT = {"amount": 999, "currency": "usd"}
CREATE = ("POST", "/v1/payment_intents")


@pytest.fixture(scope="module")
def running():
    with running_stripe_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running: StripeSimulator):
    running.reset()
    return running


def create(simulator: StripeSimulator, key: str, *, retries: int = 0, timeout: float = 5, **more: object) -> str:
    client = client_of(simulator, retries=retries, timeout=timeout)
    return client.v1.payment_intents.create(INTENT | more, {"idempotency_key": key}).id


def intents(simulator: StripeSimulator) -> list[str]:
    return [intent["id"] for intent in simulator.objects("payment_intent")]


class TestKeys:
    def test_the_first_answer_is_given_again(self, simulator):
        assert create(simulator, "k") == create(simulator, "k") == intents(simulator)[0]
        answer = client_of(simulator).v1.payment_intents.create(INTENT, {"idempotency_key": "k"}).last_response
        assert answer.headers["Idempotent-Replayed"] == "true"
        assert answer.headers["Original-Request"] != answer.request_id
        assert len(intents(simulator)) == 1

    def test_other_parameters_under_the_same_key_are_refused(self, simulator):
        create(simulator, "k")
        with pytest.raises(stripe.IdempotencyError) as refused:
            create(simulator, "k", amount=1000)
        assert refused.value.http_status == 400
        with pytest.raises(stripe.IdempotencyError):
            client_of(simulator).v1.customers.create({}, {"idempotency_key": "k"})

    def test_a_decline_is_an_answer_too(self, simulator):
        declined = {"payment_method": "pm_card_chargeDeclined", "confirm": True, "automatic_payment_methods": HERE}
        for _ in range(2):
            with pytest.raises(stripe.CardError):
                create(simulator, "k", **declined)
        assert len(simulator.objects("charge")) == 1

    def test_a_mistake_in_the_parameters_does_not_use_the_key_up(self, simulator):
        with pytest.raises(stripe.InvalidRequestError):
            create(simulator, "k", amount="much")
        assert create(simulator, "k") in intents(simulator)

    def test_while_the_first_call_goes_on_the_second_is_turned_away(self, simulator):
        simulator.fail_next(*CREATE, "slow", seconds=0.6)
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(create, simulator, "k") for _ in range(8)]
        refused = [call.exception() for call in calls if call.exception()]
        assert [error.http_status for error in refused] == [409] * 7
        assert len(intents(simulator)) == 1

    def test_the_library_retries_a_key_in_use(self, simulator):
        simulator.fail_next(*CREATE, "slow", seconds=0.3)
        first = threading.Thread(target=create, args=(simulator, "k"), kwargs={"retries": 3})
        first.start()
        assert create(simulator, "k", retries=3) == intents(simulator)[0]
        first.join()

    def test_keys_are_forgotten_after_a_day_and_the_effect_happens_twice(self, simulator):
        create(simulator, "k")
        simulator.advance_clock(hours=25)
        create(simulator, "k")
        simulator.forget_idempotency_keys()
        create(simulator, "k")
        assert len(intents(simulator)) == 3


class TestFaults:
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_stored_500_is_given_again_whether_or_not_there_was_an_effect(self, simulator, when):
        simulator.fail_next(*CREATE, "500", when=when)
        for _ in range(2):
            with pytest.raises(stripe.APIError) as failed:
                create(simulator, "k", retries=2)
            assert failed.value.http_status == 500
        assert len(intents(simulator)) == (when == "after")
        assert len(simulator.calls("POST /v1/payment_intents")) == 2
        create(simulator, "k-2")
        assert len(intents(simulator)) == (2 if when == "after" else 1)

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_reset_is_cured_by_a_retry_with_the_same_key(self, simulator, when):
        simulator.fail_next(*CREATE, "reset", when=when)
        with pytest.raises(stripe.APIConnectionError):
            create(simulator, "k")
        assert len(intents(simulator)) == (when == "after")
        create(simulator, "k")
        assert len(intents(simulator)) == 1

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_timeout_is_cured_by_a_retry_with_the_same_key(self, simulator, when):
        simulator.fail_next(*CREATE, "timeout", when=when, seconds=1)
        with pytest.raises(stripe.APIConnectionError):
            create(simulator, "k", timeout=0.3)
        create(simulator, "k")
        assert len(intents(simulator)) == 1

    def test_503_is_retried_by_the_library_and_429_is_not(self, simulator):
        simulator.fail_next(*CREATE, "503")
        create(simulator, "k", retries=1)
        simulator.fail_next(*CREATE, "429")
        with pytest.raises(stripe.RateLimitError):
            create(simulator, "k-2", retries=2)
        create(simulator, "k-2")
        assert len(intents(simulator)) == 2

    def test_a_fault_meets_the_calls_that_it_is_meant_for_and_ends(self, simulator):
        simulator.fail_next("*", "/v1/customers*", "503", times=2)
        create(simulator, "k")
        client = client_of(simulator)
        for _ in range(2):
            with pytest.raises(stripe.APIError):
                client.v1.customers.list()
        assert client.v1.customers.list().data == []
        simulator.fail_next("GET", "/v1/customers", "503", times=99)
        simulator.stop_failing()
        assert client.v1.customers.list().data == []

    def test_impossible_faults_are_refused(self, simulator):
        for arguments in ({"kind": "earthquake"}, {"kind": "429", "when": "after"}):
            with pytest.raises(ValueError, match=r"effect|no fault"):
                simulator.fail_next(*CREATE, **arguments)


def test_a_caller_that_hangs_up_is_not_worth_a_stack_trace(simulator, capfd):
    before = set(threading.enumerate())
    with socket.create_connection(("127.0.0.1", urlsplit(simulator.url).port)) as caller:
        caller.sendall(b"GET /v1/customers HTTP/1.1\r\n")
        wait_until(lambda: set(threading.enumerate()) - before, seconds=5, otherwise=lambda: "nobody answers")
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # so that it is a reset
    wait_until(lambda: not set(threading.enumerate()) - before, seconds=5, otherwise=lambda: "somebody still listens")
    assert capfd.readouterr().err == ""
