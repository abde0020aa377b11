"""Invoices over HTTP: a plain array in dollars, and the way to Stripe's PDF for their owner alone."""

from datetime import timedelta
from uuid import uuid4

import pytest

from tests.support.api import stripe_outcomes

PATH = "/api/invoices"


def test_the_list_is_a_plain_array_newest_first(client, session, user, other):
    assert client.get(PATH).json == []
    for days in range(3):
        stripe_outcomes.invoice(
            session, user, issued_at=stripe_outcomes.NOW + timedelta(days=days), amount_cents=999 + days
        )
    stripe_outcomes.invoice(session, user, status="draft")
    stripe_outcomes.invoice(session, other)
    session.commit()
    items = client.get(PATH).json
    assert [item["amount"] for item in items] == [10.01, 10, 9.99]
    assert set(items[0]) == {"id", "number", "date", "description", "amount", "currency", "status"}
    assert (items[2]["date"], items[2]["description"], items[2]["status"]) == (
        "2027-01-15T12:00:00Z",
        "Premium",
        "paid",
    )
    assert [item["amount"] for item in client.get(f"{PATH}?limit=1").json] == [10.01]
    assert [item["amount"] for item in client.get(f"{PATH}?limit=1&offset=2").json] == [9.99]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "offset=-1", "offset=99999999999"])
def test_a_part_of_the_list_that_cannot_be_is_refused(client, query):
    answer = client.get(f"{PATH}?{query}")
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, query.split("=")[0])


class TestThePdf:
    def test_is_at_stripe(self, client, session, user):
        row = stripe_outcomes.invoice(session, user)
        session.commit()
        answer = client.get(f"{PATH}/{row.id}/pdf")
        assert (answer.status_code, answer.headers["Location"]) == (302, row.pdf_url)

    def test_of_another_or_of_none_is_not_there(self, client, session, user, other):
        theirs, without = stripe_outcomes.invoice(session, other), stripe_outcomes.invoice(session, user, pdf_url=None)
        session.commit()
        for invoice_id in (theirs.id, without.id, uuid4()):
            answer = client.get(f"{PATH}/{invoice_id}/pdf")
            assert (answer.status_code, answer.json["code"]) == (404, "not_found")
            assert "Location" not in answer.headers


def test_a_subscription_is_invoiced(client, stripe):
    body = {"priceId": "price_premium_monthly"}
    secret = client.post("/subscriptions/create", json=body).json["clientSecret"]
    stripe_outcomes.send_all_events(client, stripe)
    (item,) = client.get(PATH).json
    assert (item["amount"], item["status"]) == (9.99, "open")
    stripe.pay_intent(secret.split("_secret")[0])
    stripe_outcomes.send_all_events(client, stripe)
    (item,) = client.get(PATH).json
    assert (item["amount"], item["status"]) == (9.99, "paid")
    assert item["description"]


@pytest.mark.parametrize(("currency", "amount"), [("jpy", 1500), ("kwd", 1.5), ("usd", 15)])
def test_an_amount_is_shown_in_whole_units_of_its_currency(client, session, user, currency, amount):
    stripe_outcomes.invoice(session, user, amount_cents=1500, currency=currency)
    session.commit()
    assert client.get(PATH).json[0]["amount"] == amount
