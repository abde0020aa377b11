import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from models.db import session_scope
from models.purchase import PurchaseStatus
from models.services import stripe_requests
from models.stripe_request import RequestStatus
from tests.billing.shop import CARD, Shop, at_once, follower, uuid_of
from workers.billing import requests
from workers.gateways import stripe_line

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
        waiting = shop.perform(request, follower(shop.stripe, timeout=0.5))
        assert (waiting.status, waiting.answer) == (RequestStatus.PENDING, None)
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
        assert shop.perform(request).answer["status"] == "succeeded"
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
        monkeypatch.setattr(stripe_line, "PATIENCE_SECONDS", 0.1)
        user = shop.user()
        request = shop.wants(user, card=CARD)
        shop.stripe.fail_next("POST", INTENTS, "429", times=20)
        assert shop.perform(request).last_error.startswith("stripe_rate_limited")
        shop.stripe.stop_failing()
        shop.later(request)
        shop.perform(request)
        assert paid_once(shop, user, request)


class TestForgottenKeys:
    def test_a_day_later_the_effect_is_looked_for_before_anything_is_asked(self, shop: Shop):
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
        customer = shop.follower.gateway.create_customer(user.id, email=user.email, name="x", key="other")
        shop.follower.gateway.create_payment(
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
    def test_one_request_is_performed_once_however_often_it_is_rung(self, shop: Shop):
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
        """It met a stored 500, but slowly; the one who took the row over decides what is next."""
        user = shop.user()
        request = shop.wants(user, card=CARD)
        with session_scope() as session:
            first = stripe_requests.claim(session, request.id)
        shop.later(request)
        with session_scope() as session:
            assert stripe_requests.claim(session, request.id).tries == 2
        shop.stripe.fail_next("POST", INTENTS, "500")
        with pytest.raises(requests._Overtaken):
            requests._try(shop.follower, first)
        assert shop.fresh(request).attempt == 1


class TestKilledWorkers:
    def test_a_worker_killed_while_stripe_works_is_replaced_and_money_moves_once(self, shop: Shop, shop_database: str):
        user = shop.user()
        request = shop.wants(user, card=CARD)
        shop.stripe.fail_next("POST", INTENTS, "slow", seconds=0.5)
        worker = subprocess.Popen(
            [
                sys.executable,
                "-c",
                WORKER,
                shop_database,
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
    def test_two_sweeps_at_once_ring_once_for_each_request(self, shop: Shop):
        user = shop.user()
        wishes = [shop.wants(user) for _ in range(20)]
        shop.scalar("UPDATE stripe_requests SET created_at = created_at - interval '1 minute' RETURNING 1")
        rung = [one for sweep in at_once([due] * 4) for one in sweep]
        assert sorted(rung) == sorted(wish.id for wish in wishes)
        assert due() == []

    def test_what_is_done_is_not_rung_for(self, shop: Shop):
        request = shop.perform(shop.wants(shop.user()))
        shop.scalar("UPDATE stripe_requests SET created_at = created_at - interval '1 hour' RETURNING 1")
        shop.later(request)
        assert due() == []


class TestRestoredDatabase:
    def test_an_intent_whose_purchase_knows_nothing_of_it_is_linked_by_its_event(self, shop: Shop):
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
from workers.billing import requests
from workers.billing.subjects import Follower
from workers.gateways.stripe import StripeGateway
database, stripe, key, request = sys.argv[1:]
connect(database)
requests.perform(Follower(StripeGateway(key, stripe), {}), UUID(request))
"""


def due() -> list:
    with session_scope() as session:
        return list(stripe_requests.due(session))


def wait_for(condition, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)
