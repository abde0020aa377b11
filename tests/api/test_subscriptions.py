"""Subscriptions over HTTP, with a worker and a Stripe behind them: what the app sends and reads."""

import pytest
from sqlalchemy import func, select

from models.stripe_request import StripeRequest
from tests.api import billing

PREMIUM, ENTERPRISE = "price_premium_monthly", "price_enterprise_monthly"
CURRENT = {
    "tier",
    "status",
    "priceId",
    "currentPeriodStart",
    "currentPeriodEnd",
    "cancelAtPeriodEnd",
    "pastDueSince",
    "limits",
    "features",
    "historyDays",
    "usage",
}


def subscribe(client, price: str = PREMIUM, method: str | None = "pm_card_visa", **headers: str):
    body = {"priceId": price} | ({"paymentMethodId": method} if method else {})
    return client.post("/api/subscriptions/create", json=body, headers=headers)


def pay(client, stripe, answer, method: str = "pm_card_visa") -> None:
    """The app confirms the first payment, and Stripe tells us."""
    stripe.pay_intent(answer.json["clientSecret"].split("_secret")[0], method)
    billing.tell_all(client, stripe)


def current(client) -> dict:
    return client.get("/api/subscriptions/current").json


class TestCurrent:
    def test_of_a_free_account_is_always_active(self, client):
        answer = current(client)
        assert set(answer) == CURRENT
        assert (answer["tier"], answer["status"], answer["cancelAtPeriodEnd"]) == ("free", "active", False)
        assert (answer["currentPeriodStart"], answer["currentPeriodEnd"]) == (None, None)
        assert answer["limits"] == {"maxWorkflows": 3, "maxNodes": 10, "apiCallsPerMonth": 100, "storageMB": 100}
        assert answer["usage"] == {
            "apiCallsUsed": 0,
            "apiCallsLimit": 100,
            "apiCallsResetAt": answer["usage"]["apiCallsResetAt"],
            "storageUsedMB": 0,
            "storageLimitMB": 100,
        }
        assert answer["features"][:2] == ["3 workflows", "10 nodes per workflow"]

    @pytest.mark.parametrize(
        ("tier", "limits"), [("premium", [-1, 50, 10_000, 10_240]), ("enterprise", [-1, -1, -1, 102_400])]
    )
    def test_says_what_the_tier_allows(self, client, session, user, tier, limits):
        billing.subscription(session, user, tier=tier, grants=tier)
        session.commit()
        answer = current(client)
        assert (answer["tier"], list(answer["limits"].values())) == (tier, limits)
        assert answer["features"][0] == "Unlimited workflows"
        assert (answer["currentPeriodStart"], answer["currentPeriodEnd"]) == (
            "2027-01-15T12:00:00Z",
            "2027-02-15T12:00:00Z",
        )

    def test_says_the_tier_that_counts_whatever_is_not_paid(self, client, session, user):
        billing.subscription(session, user, status="past_due", grants="free", past_due_since=billing.NOW)
        session.commit()
        answer = current(client)
        assert (answer["tier"], answer["status"], answer["limits"]["maxWorkflows"]) == ("free", "past_due", 3)
        assert answer["pastDueSince"] == "2027-01-15T12:00:00Z"

    def test_is_ones_own(self, client, session, other):
        billing.subscription(session, other)
        session.commit()
        assert current(client)["tier"] == "free"


class TestCreating:
    @pytest.mark.parametrize("method", ["pm_card_visa", None])
    def test_gives_the_app_a_secret_and_counts_once_it_is_paid(self, client, stripe, method):
        answer = subscribe(client, method=method)
        assert answer.status_code == 201
        assert set(answer.json) == {"subscription", "clientSecret"}
        made = answer.json["subscription"]
        assert (made["tier"], made["status"]) == ("premium", "incomplete")
        assert made["currentPeriodEnd"] > made["currentPeriodStart"]
        assert answer.json["clientSecret"].startswith("pi_")
        assert answer.headers["Location"] == "/api/subscriptions/current"
        assert (current(client)["tier"], current(client)["status"]) == ("free", "incomplete")
        pay(client, stripe, answer)
        assert (current(client)["tier"], current(client)["status"]) == ("premium", "active")
        assert current(client)["currentPeriodEnd"] == made["currentPeriodEnd"]
        assert client.get("/auth/me").json["user"]["subscriptionTier"] == "premium"
        assert client.get("/credits/balance").json["balance"] == 10

    def test_of_a_card_that_is_declined_is_a_402(self, client, stripe):
        answer = subscribe(client, method="pm_card_chargeDeclined")
        assert (answer.status_code, answer.json["code"]) == (402, "card_declined")
        assert current(client)["tier"] == "free"

    def test_of_a_second_one_is_refused(self, client, stripe):
        pay(client, stripe, subscribe(client))
        answer = subscribe(client, ENTERPRISE)
        assert (answer.status_code, answer.json["code"]) == (409, "already_subscribed")
        assert len(stripe.objects("subscription")) == 1

    def test_while_another_is_made_is_refused(self, client, session):
        assert subscribe(client, Prefer="wait=0").status_code == 202
        assert subscribe(client, Prefer="wait=0").json["code"] == "already_subscribed"
        assert session.scalar(select(func.count()).select_from(StripeRequest)) == 1

    def test_with_a_key_happens_once(self, client, stripe):
        answers = [subscribe(client, **{"Idempotency-Key": "k"}) for _ in range(2)]
        assert {answer.status_code for answer in answers} == {201}
        assert answers[0].json == answers[1].json
        assert len(stripe.objects("subscription")) == 1

    def test_that_takes_longer_can_be_asked_for(self, client, stripe, session):
        address = subscribe(client, method=None).headers["Location"]
        request = billing.request(session)
        answer = client.get(f"/api/billing/requests/{request.id}")
        assert (answer.status_code, answer.headers["Location"]) == (201, address)
        assert answer.json["subscription"]["status"] == "incomplete"


class TestChanging:
    @pytest.fixture(autouse=True)
    def subscribed(self, client, stripe) -> None:
        pay(client, stripe, subscribe(client))

    def test_to_another_plan(self, client, stripe):
        answer = client.put("/api/subscriptions/update", json={"priceId": ENTERPRISE})
        assert (answer.status_code, answer.json["subscription"]["tier"]) == (200, "enterprise")
        assert current(client)["tier"] == "enterprise"
        billing.tell_all(client, stripe)
        assert current(client)["limits"]["maxNodes"] == -1

    def test_to_the_same_plan_is_refused(self, client):
        assert client.put("/api/subscriptions/update", json={"priceId": PREMIUM}).status_code == 409

    def test_ends_with_the_period_and_goes_on_after_all(self, client):
        answer = client.post("/api/subscriptions/cancel")
        assert answer.status_code == 200
        assert set(answer.json) >= {"message", "endsAt"}
        assert answer.json["endsAt"] == current(client)["currentPeriodEnd"]
        assert (current(client)["tier"], current(client)["cancelAtPeriodEnd"]) == ("premium", True)
        answer = client.post("/api/subscriptions/resume", json={})
        assert (answer.status_code, answer.json["subscription"]["cancelAtPeriodEnd"]) == (200, False)
        assert current(client)["cancelAtPeriodEnd"] is False
        assert client.post("/api/subscriptions/resume").status_code == 409


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/subscriptions/update", {"priceId": PREMIUM}),
        ("POST", "/subscriptions/cancel", {}),
        ("POST", "/subscriptions/resume", {}),
    ],
)
def test_without_a_subscription_there_is_nothing_to_change(client, sent, session, other, method, path, body):
    billing.subscription(session, other)
    session.commit()
    answer = client.open(path, method=method, json=body)
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert sent == []


@pytest.mark.parametrize(("method", "path"), [("POST", "/subscriptions/create"), ("PUT", "/subscriptions/update")])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "priceId"),
        ({"priceId": None}, "priceId"),
        ({"priceId": ""}, "priceId"),
        ({"priceId": 7}, "priceId"),
        ({"priceId": "x" * 256}, "priceId"),
        ({"priceId": "price_of_another_account"}, "priceId"),
        ({"priceId": PREMIUM, "tier": "enterprise"}, "tier"),
        ({"priceId": PREMIUM, "subscriptionTier": "enterprise"}, "subscriptionTier"),
    ],
)
def test_what_is_wrong_is_named_and_nobody_is_asked(client, sent, method, path, body, field):
    answer = client.open(path, method=method, json=body)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)
    assert sent == []


@pytest.mark.parametrize("method", ["", 7, "card", "pm_ 1", ["pm_1"]])
def test_a_payment_method_that_is_none_is_named(client, sent, method):
    answer = client.post("/subscriptions/create", json={"priceId": PREMIUM, "paymentMethodId": method})
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "paymentMethodId")
    assert sent == []
