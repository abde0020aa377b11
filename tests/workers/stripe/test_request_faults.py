import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from models.db import session_scope
from models.services.stripe import stripe_requests
from models.tables import PurchaseStatus, RequestStatus
from tests.support.stripe.shop import CARD, Shop, at_once, stripe_sync, uuid_of
from workers.gateways.stripe import client
from workers.stripe import requests

INTENTS = "/v1/payment_intents"


def paid_once(shop: Shop, user, request) -> bool:
    """One intent that was paid, one grant, and a request that says so."""
    shop.handle_all()
    paid = [intent for intent in shop.intents() if intent["status"] == "succeeded"]
    row = shop.fresh(request)
    return (len(shop.intents()), len(paid), shop.credits(user), row.status) == (1, 1, 100, RequestStatus.DONE)


class TestLostAnswers:
    @pytest.mark.parametrize("kind", ["reset", "timeout"])
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_the_same_key_is_asked_again_and_money_moves_once(self, shop: Shop, kind, when):
        user = shop.user()
        request = shop.wants(user, card=CARD)
        shop.stripe.fail_next("POST", INTENTS, kind, when=when, seconds=1)
        waiting = shop.perform(request, stripe_sync(shop.stripe, timeout=0.5))
        assert (waiting.status, waiting.result) == (RequestStatus.PENDING, None)
        assert waiting.next_try_at is not None
        shop.later(request)
        assert shop.perform(request).attempt == 1
        assert paid_once(shop, user, request)

    def test_the_payment_is_known_before_its_answer_is_asked_for_again(self, shop: Shop):
        user = shop.user()
        request = shop.wants(user, card=CARD)
        shop.stripe.fail_next("POST", INTENTS, "reset", when="after")
        shop.perform(request)
        shop.handle_all()
        assert shop.credits(user) == 100
        shop.later(request)
        assert shop.perform(request).result["status"] == "succeeded"
        assert paid_once(shop, user, request)

    def test_what_is_not_due_yet_is_left_alone(self, shop: Shop):
        request = shop.wants(shop.user(), card=CARD)
        shop.stripe.fail_next("POST", INTENTS, "reset")
        assert shop.perform(request).tries == 1
        assert shop.perform(request).tries == 1


class TestStoredFailures:
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_stored_500_is_not_asked_again_under_its_key(self, shop: Shop, when):
        user = shop.user()
        request = shop.wants(user, card=CARD)
        shop.stripe.fail_next("POST", INTENTS, "500", when=when)
        done = shop.perform(request)
        assert done.status is RequestStatus.DONE
        assert done.key.endswith("-a2")
        assert paid_once(shop, user, request)
        assert len(shop.stripe.calls(f"POST {INTENTS}")) == (2 if when == "before" else 1)

    def test_one_500_after_the_other_ends_in_a_wait_not_in_a_loop(self, shop: Shop):
        user = shop.user()
        request = shop.wants(user, card=CARD)
        shop.stripe.fail_next("POST", INTENTS, "500", times=50)
        assert shop.perform(request).status is RequestStatus.PENDING
        assert len(shop.stripe.calls(f"POST {INTENTS}")) <= 3
        shop.stripe.stop_failing()
        shop.later(request)
        shop.perform(request)
        assert paid_once(shop, user, request)

    def test_an_unavailable_stripe_is_asked_later_under_the_same_key(self, shop: Shop):
        user = shop.user()
        request = shop.wants(user, card=CARD)
        shop.stripe.fail_next("POST", INTENTS, "503")
        assert shop.perform(request).status is RequestStatus.PENDING
        shop.later(request)
        assert shop.perform(request).attempt == 1
        assert paid_once(shop, user, request)

    def test_too_many_requests_make_the_job_wait(self, shop: Shop, monkeypatch):
        monkeypatch.setattr(client, "RETRY_BUDGET_SECONDS", 0.1)
        user = shop.user()
        request = shop.wants(user, card=CARD)
        shop.stripe.fail_next("POST", INTENTS, "429", times=20)
        assert shop.perform(request).last_error.startswith("stripe_rate_limited")
        shop.stripe.stop_failing()
        shop.later(request)
        shop.perform(request)
        assert paid_once(shop, user, request)


class TestForgottenKeys:
    def test_a_day_later_the_effect_is_looked_up_before_a_new_call(self, shop: Shop):
        user = shop.user()
        request = shop.wants(user, card=CARD)
        shop.stripe.fail_next("POST", INTENTS, "reset", when="after")
        shop.perform(request)
        shop.a_day_later(request)
        shop.perform(request)
        assert paid_once(shop, user, request)

    def test_a_day_later_what_never_happened_is_asked_for_under_a_new_key(self, shop: Shop):
        user = shop.user()
        request = shop.wants(user, card=CARD)
        shop.stripe.fail_next("POST", INTENTS, "reset", when="before")
        shop.perform(request)
        shop.a_day_later(request)
        assert shop.perform(request).key.endswith("-a2")
        assert paid_once(shop, user, request)

    def test_a_key_that_stood_for_something_else_is_left(self, shop: Shop):
        user = shop.user()
        request = shop.wants(user, card=CARD)
        customer = shop.stripe_sync.gateway.create_customer(user.id, email=user.email, name="x", key="other")
        shop.stripe_sync.gateway.create_payment(
            customer=customer["id"],
            amount=500,
            currency="usd",
            payment_method=None,
            description="another",
            metadata={},
            key=request.key,
        )
        assert shop.perform(request).status is RequestStatus.DONE
        assert shop.credits(user) == 100


class TestTwoWorkers:
    def test_one_request_is_performed_once_however_often_it_is_enqueued(self, shop: Shop):
        user = shop.user()
        request = shop.wants(user, card=CARD)
        at_once([lambda: shop.perform(request)] * 8)
        assert paid_once(shop, user, request)
        assert len(shop.stripe.calls(f"POST {INTENTS}")) == 1

    def test_a_key_in_use_makes_the_second_wait_for_the_first(self, shop: Shop):
        user = shop.user()
        request = shop.wants(user, card=CARD)
        shop.stripe.fail_next("POST", INTENTS, "slow", seconds=0.8)
        slow = threading.Thread(target=shop.perform, args=(request,))
        slow.start()
        wait_for(lambda: shop.stripe.calls(f"POST {INTENTS}"))
        shop.later(request)  # the first is taken for dead
        assert shop.perform(request).last_error.startswith("stripe_busy")
        slow.join()
        shop.later(request)
        shop.perform(request)
        assert paid_once(shop, user, request)

    def test_a_worker_that_was_overtaken_makes_no_new_key(self, shop: Shop):
        """It got a stored 500, but slowly; the worker that took the row over decides what is next."""
        user = shop.user()
        request = shop.wants(user, card=CARD)
        with session_scope() as session:
            first = stripe_requests.claim(session, request.id)
        shop.later(request)
        with session_scope() as session:
            assert stripe_requests.claim(session, request.id).tries == 2
        shop.stripe.fail_next("POST", INTENTS, "500")
        with pytest.raises(requests._Overtaken):
            requests._try(shop.stripe_sync, first)
        assert shop.fresh(request).attempt == 1


class TestKilledWorkers:
    def test_a_worker_killed_during_a_stripe_call_moves_money_once(self, shop: Shop, committed_database: str):
        user = shop.user()
        request = shop.wants(user, card=CARD)
        shop.stripe.fail_next("POST", INTENTS, "slow", seconds=0.5)
        worker = subprocess.Popen(
            [
                sys.executable,
                "-c",
                WORKER,
                committed_database,
                shop.stripe.url,
                shop.stripe.secret_key,
                str(request.id),
            ],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd(), "AGENTFORGE_ENV": "test"},
        )
        wait_for(lambda: shop.stripe.calls(f"POST {INTENTS}"))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        wait_for(shop.intents)
        assert shop.fresh(request).status is RequestStatus.WORKING
        assert shop.credits(user) == 0
        shop.later(request)
        with session_scope() as session:
            assert stripe_requests.due(session, again=0) == [request.id]
        shop.perform(request)
        assert paid_once(shop, user, request)


class TestSweeping:
    def test_two_sweeps_at_once_enqueue_once_for_each_request(self, shop: Shop):
        user = shop.user()
        requested = [shop.wants(user) for _ in range(20)]
        shop.scalar("UPDATE stripe_requests SET created_at = created_at - interval '1 minute' RETURNING 1")
        enqueued = [one for sweep in at_once([due] * 4) for one in sweep]
        assert sorted(enqueued) == sorted(operation.id for operation in requested)
        assert due() == []

    def test_what_is_done_is_not_enqueued(self, shop: Shop):
        request = shop.perform(shop.wants(shop.user()))
        shop.scalar("UPDATE stripe_requests SET created_at = created_at - interval '1 hour' RETURNING 1")
        shop.later(request)
        assert due() == []


class TestRestoredDatabase:
    def test_an_intent_that_its_purchase_does_not_know_is_linked_by_its_event(self, shop: Shop):
        user = shop.user()
        purchase = shop.buys(user)
        shop.scalar("UPDATE purchases SET payment_intent_id = NULL, client_secret = NULL RETURNING 1")
        shop.stripe.pay_intent(purchase.payment_intent_id)
        shop.handle_all()
        assert uuid_of(shop.intents()[0], "agentforge_purchase") == purchase.id
        assert shop.fresh(purchase).status is PurchaseStatus.SUCCEEDED
        assert shop.credits(user) == 100


WORKER = """
import sys
from uuid import UUID
from models.db import connect
from workers.stripe import requests
from workers.stripe.sync import StripeSync
from workers.gateways.stripe.gateway import StripeGateway
database, stripe, key, request = sys.argv[1:]
connect(database)
requests.perform(StripeSync(StripeGateway(key, stripe), {}), UUID(request))
"""


def due() -> list:
    with session_scope() as session:
        return list(stripe_requests.due(session))


def wait_for(condition, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)
