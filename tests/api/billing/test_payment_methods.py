"""Payment methods over HTTP: kept at Stripe, listed from our mirror, never anybody else's."""

import pytest
from sqlalchemy import func, select

from models.tables import StripeRequest
from tests.support.api import stripe_outcomes

PATH = "/api/payment-methods"
FIELDS = {"id", "type", "brand", "last4", "expMonth", "expYear", "isDefault", "createdAt"}


def add(client, method: str = "pm_card_visa"):
    return client.post(f"{PATH}/add", json={"paymentMethodId": method})


def listed(client) -> list[tuple[str, bool]]:
    """Brand and whether it is the default, in the order of the list."""
    return [(item["brand"], item["isDefault"]) for item in client.get(PATH).json]


class TestTheList:
    def test_is_a_plain_array(self, client):
        answer = client.get(PATH)
        assert (answer.status_code, answer.json) == (200, [])

    def test_shows_what_the_app_reads_and_nothing_of_stripes(self, client, session, user):
        row = stripe_outcomes.payment_method(session, user, is_default=True)
        session.commit()
        item = client.get(PATH).json[0]
        assert set(item) == FIELDS
        assert (item["id"], item["brand"], item["last4"]) == (str(row.id), "visa", "4242")
        assert (item["expMonth"], item["expYear"], item["isDefault"]) == (12, 2030, True)

    def test_leaves_out_others_and_what_was_removed(self, client, session, user, other):
        stripe_outcomes.payment_method(session, other)
        stripe_outcomes.payment_method(session, user, removed_at=stripe_outcomes.NOW)
        session.commit()
        assert client.get(PATH).json == []


class TestAdding:
    def test_keeps_it_and_makes_the_first_one_the_default(self, client, stripe):
        answer = add(client)
        assert (answer.status_code, set(answer.json)) == (200, FIELDS)
        assert (answer.json["brand"], answer.json["last4"], answer.json["isDefault"]) == ("visa", "4242", True)
        add(client, "pm_card_mastercard")
        assert listed(client) == [("visa", True), ("mastercard", False)]
        assert len(stripe.objects("customer")) == 1

    def test_of_a_card_that_is_declined_is_a_402(self, client, stripe):
        answer = add(client, "pm_card_chargeDeclined")
        assert (answer.status_code, answer.json["code"]) == (402, "card_declined")
        assert client.get(PATH).json == []

    def test_of_one_that_stripe_does_not_know_is_refused(self, client, stripe):
        assert add(client, "pm_unknown").json["code"] == "resource_missing"

    def test_of_another_users_one_is_not_found(self, client, session, other, sent):
        theirs = stripe_outcomes.payment_method(session, other)
        session.commit()
        assert add(client, theirs.stripe_id).status_code == 404
        assert sent == []

    def test_with_a_key_happens_once(self, client, stripe):
        headers = {"Idempotency-Key": "k"}
        answers = [client.post(f"{PATH}/add", json={"paymentMethodId": "pm_card_visa"}, headers=headers) for _ in "ab"]
        assert answers[0].json == answers[1].json
        assert len(client.get(PATH).json) == 1


class TestTheDefault:
    def test_moves(self, client, stripe):
        add(client)
        second = add(client, "pm_card_mastercard").json
        answer = client.put(f"{PATH}/default", json={"paymentMethodId": second["id"]})
        assert (answer.status_code, answer.json["id"], answer.json["isDefault"]) == (200, second["id"], True)
        assert listed(client) == [("mastercard", True), ("visa", False)]
        stripe_outcomes.send_all_events(client, stripe)
        assert listed(client) == [("mastercard", True), ("visa", False)]

    def test_is_never_another_users(self, client, session, other):
        theirs = stripe_outcomes.payment_method(session, other)
        session.commit()
        for method in (str(theirs.id), theirs.stripe_id, "pm_nothing"):
            answer = client.put(f"{PATH}/default", json={"paymentMethodId": method})
            assert (answer.status_code, answer.json["code"]) == (404, "not_found")


class TestRemoving:
    def test_forgets_it(self, client, stripe):
        kept = add(client).json
        answer = client.delete(f"{PATH}/{kept['id']}")
        assert (answer.status_code, answer.data) == (204, b"")
        assert client.get(PATH).json == []
        stripe_outcomes.send_all_events(client, stripe)
        assert client.get(PATH).json == []
        assert client.delete(f"{PATH}/{kept['id']}").status_code == 404


@pytest.mark.parametrize(("method", "path"), [("POST", f"{PATH}/add"), ("PUT", f"{PATH}/default")])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "paymentMethodId"),
        ({"paymentMethodId": None}, "paymentMethodId"),
        ({"paymentMethodId": ""}, "paymentMethodId"),
        ({"paymentMethodId": 7}, "paymentMethodId"),
        ({"paymentMethodId": "pm_ 1"}, "paymentMethodId"),
        ({"paymentMethodId": "pm_" + "x" * 255}, "paymentMethodId"),
    ],
)
def test_an_invalid_request_is_explained_without_a_call_of_stripe(client, session, sent, method, path, body, field):
    answer = client.open(path, method=method, json=body)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)
    assert session.scalar(select(func.count()).select_from(StripeRequest)) == 0
    assert sent == []
