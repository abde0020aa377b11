"""Buying credits over HTTP, with a worker and Stripe: requests, responses and final states."""

from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy import func, select

from models.services.credits import ledger
from models.tables import IdempotencyKey, Purchase
from tests.support.api import stripe_outcomes

PATH = "/api/credits/purchase"
FIELDS = {
    "id",
    "status",
    "clientSecret",
    "authenticationUrl",
    "amount",
    "amountCents",
    "currency",
    "packageId",
    "credits",
    "bonus",
    "failure",
    "createdAt",
}
CARD = {"paymentMethodId": "pm_card_visa"}


def balance(client) -> float:
    return client.get("/credits/balance").json["balance"]


class TestWithoutPaymentMethod:
    def test_the_app_gets_a_secret_to_confirm_with(self, client, stripe):
        answer = client.post(PATH, json={"packageId": "pack_500"})
        assert answer.status_code == 200
        assert set(answer.json) == FIELDS
        said = answer.json
        assert (said["status"], said["amount"], said["credits"], said["bonus"]) == ("pending", 39.99, 500, 50)
        assert said["clientSecret"].startswith("pi_")
        assert (said["amountCents"], said["currency"], said["packageId"]) == (3999, "usd", "pack_500")
        assert balance(client) == 10

    def test_the_webhook_brings_the_credits(self, client, stripe, session):
        """The whole flow: intent, client secret, the app confirms, the webhook grants."""
        purchase = client.post(PATH, json={"packageId": "pack_500"}).json
        stripe.pay_intent(purchase["clientSecret"].split("_secret")[0])
        assert balance(client) == 10
        for _ in range(2):
            stripe_outcomes.send_all_events(client, stripe)
        assert balance(client) == 560
        answer = client.get(f"/credits/purchases/{purchase['id']}").json
        assert (answer["status"], answer["clientSecret"]) == ("succeeded", None)
        newest = client.get("/credits/history").json["transactions"][0]
        assert (newest["type"], newest["amount"], newest["source"]) == ("credit", 550, "purchase")
        assert ledger.violations(session) == []

    @pytest.mark.parametrize(
        ("amount", "package"), [(9.99, "pack_100"), (39.99, "pack_500"), (69.99, "pack_1000"), (299.99, "pack_5000")]
    )
    def test_the_price_names_the_package(self, client, stripe, amount, package):
        answer = client.post(PATH, json={"amount": amount})
        assert (answer.status_code, answer.json["packageId"], answer.json["amount"]) == (200, package, amount)


class TestWithPaymentMethod:
    @pytest.mark.parametrize("body", [{"packageId": "pack_100"}, {"amount": 9.99}])
    def test_it_is_paid_at_once(self, client, stripe, session, body):
        answer = client.post(PATH, json={**body, **CARD})
        assert (answer.status_code, answer.json["status"], answer.json["clientSecret"]) == (200, "succeeded", None)
        assert balance(client) == 110
        stripe_outcomes.send_all_events(client, stripe)
        assert balance(client) == 110
        assert ledger.violations(session) == []

    @pytest.mark.parametrize(
        ("card", "code"),
        [
            ("pm_card_chargeDeclined", "card_declined"),
            ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
            ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
            ("pm_card_chargeDeclinedProcessingError", "processing_error"),
        ],
    )
    def test_a_card_that_is_declined_is_a_402(self, client, stripe, session, card, code):
        answer = client.post(PATH, json={"packageId": "pack_100", "paymentMethodId": card})
        assert (answer.status_code, answer.json["code"]) == (402, code)
        assert answer.mimetype == "application/problem+json"
        assert answer.json["message"] == answer.json["detail"] != ""
        assert balance(client) == 10
        assert session.scalars(select(Purchase)).one().status == "failed"

    def test_a_bank_that_asks_leaves_the_rest_to_the_app(self, client, stripe):
        body = {"packageId": "pack_100", "paymentMethodId": "pm_card_authenticationRequired"}
        answer = client.post(PATH, json=body)
        assert (answer.status_code, answer.json["status"]) == (200, "requires_action")
        assert answer.json["clientSecret"]
        stripe.complete_3ds(answer.json["clientSecret"].split("_secret")[0])
        stripe_outcomes.send_all_events(client, stripe)
        assert client.get(f"/credits/purchases/{answer.json['id']}").json["status"] == "succeeded"
        assert balance(client) == 110

    def test_one_that_stripe_does_not_know_is_named(self, client, stripe):
        answer = client.post(PATH, json={"packageId": "pack_100", "paymentMethodId": "pm_nothing"})
        assert (answer.status_code, answer.json["code"]) == (422, "resource_missing")

    def test_of_another_user_is_not_found(self, client, stripe, session, other):
        theirs = stripe_outcomes.payment_method(session, other)
        session.commit()
        for method in (str(theirs.id), theirs.stripe_id):
            answer = client.post(PATH, json={"packageId": "pack_100", "paymentMethodId": method})
            assert answer.status_code == 404
        assert stripe.objects("payment_intent") == []


class TestRepeats:
    def test_with_a_key_pay_once_and_are_answered_alike(self, client, stripe, session):
        headers = {"Idempotency-Key": "buy-1"}
        answers = [client.post(PATH, json={"packageId": "pack_100", **CARD}, headers=headers) for _ in range(3)]
        assert [answer.json for answer in answers] == [answers[0].json] * 3
        assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true", "true"]
        assert len(stripe.objects("payment_intent")) == session.scalar(select(func.count()).select_from(Purchase)) == 1
        assert balance(client) == 110

    def test_of_a_declined_one_are_declined_alike(self, client, stripe):
        body = {"packageId": "pack_100", "paymentMethodId": "pm_card_chargeDeclined"}
        answers = [client.post(PATH, json=body, headers={"Idempotency-Key": "buy-1"}) for _ in range(2)]
        assert {(answer.status_code, answer.json["code"]) for answer in answers} == {(402, "card_declined")}
        assert len(stripe.objects("payment_intent")) == 1

    def test_with_another_body_are_refused(self, client, stripe):
        headers = {"Idempotency-Key": "buy-1"}
        client.post(PATH, json={"packageId": "pack_100"}, headers=headers)
        answer = client.post(PATH, json={"packageId": "pack_5000"}, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")


class TestWhileNobodyWorks:
    def test_what_was_accepted_can_be_asked_for(self, client, session):
        answer = client.post(PATH, json={"packageId": "pack_100"}, headers={"Prefer": "wait=0"})
        assert answer.status_code == 202
        assert set(answer.json) == FIELDS
        assert (answer.json["status"], answer.json["clientSecret"], answer.json["amount"]) == ("pending", None, 9.99)
        address = answer.headers["Location"]
        assert address == f"/api/credits/purchases/{answer.json['id']}"
        assert int(answer.headers["Retry-After"]) >= 1
        assert client.get(address).json == answer.json

    def test_the_idempotency_key_keeps_no_client_secret(self, client, stripe, session):
        answer = client.post(PATH, json={"packageId": "pack_100"}, headers={"Idempotency-Key": "k"})
        stored = session.scalars(select(IdempotencyKey.response)).one()
        assert answer.json["clientSecret"] not in str(stored)


class TestLists:
    def test_show_ones_own_newest_first(self, client, stripe, sign_in, other):
        for package in ("pack_100", "pack_500"):
            client.post(PATH, json={"packageId": package})
        answer = client.get("/credits/purchases").json
        assert set(answer) == {"purchases", "count", "limit", "offset", "nextCursor"}
        assert {one["packageId"] for one in answer["purchases"]} == {"pack_100", "pack_500"}
        assert set(answer["purchases"][0]) == FIELDS
        assert datetime.fromisoformat(answer["purchases"][0]["createdAt"]).tzinfo is not None
        assert UUID(answer["purchases"][0]["id"])
        assert sign_in(other).get("/credits/purchases").json["count"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "amount"),
        ({"packageId": "pack_7"}, "packageId"),
        ({"packageId": ""}, "packageId"),
        ({"packageId": None}, "packageId"),
        ({"packageId": 100}, "packageId"),
        ({"packageId": ["pack_100"]}, "packageId"),
        ({"packageId": "pack_100", "amount": 9.99}, "packageId"),
        ({"amount": 10}, "amount"),
        ({"amount": 999}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": -9.99}, "amount"),
        ({"amount": 9.991}, "amount"),
        ({"amount": "9.99"}, "amount"),
        ({"amount": None}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": 1e300}, "amount"),
        ({"packageId": "pack_100", "paymentMethodId": ""}, "paymentMethodId"),
        ({"packageId": "pack_100", "paymentMethodId": "card"}, "paymentMethodId"),
        ({"packageId": "pack_100", "paymentMethodId": "pm_ x"}, "paymentMethodId"),
        ({"packageId": "pack_100", "paymentMethodId": "pm_" + "x" * 255}, "paymentMethodId"),
        ({"packageId": "pack_100", "paymentMethodId": 7}, "paymentMethodId"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_sold(client, session, sent, body, field):
    answer = client.post(PATH, json=body)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)
    assert session.scalar(select(func.count()).select_from(Purchase)) == 0
    assert sent == []
