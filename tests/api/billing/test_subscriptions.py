"""Subscriptions over HTTP, with a worker and a Stripe behind them: what the app sends and reads."""

import pytest
from sqlalchemy import func, select

from models.rules.prices.pricing import Tier
from models.tables import StripeRequest
from tests.support.api import stripe_outcomes

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
    """Confirm the first payment as the app does, and deliver Stripe's events."""
    stripe.pay_intent(answer.json["clientSecret"].split("_secret")[0], method)
    stripe_outcomes.send_all_events(client, stripe)


def current(client) -> dict:
    return client.get("/api/subscriptions/current").json


class TestCurrent:
    def test_of_a_free_account_is_always_active(self, client):
        answer = current(client)
        assert set(answer) == CURRENT
        assert (answer["tier"], answer["status"], answer["cancelAtPeriodEnd"]) == ("free", "active", False)
        assert (answer["currentPeriodStart"], answer["currentPeriodEnd"]) == (None, None)
        assert answer["limits"] == {
            "maxWorkflows": 3,
            "maxNodes": 10,
            "apiCallsPerMonth": 100,
            "storageMB": 100,
            "maxPendingRuns": 1000,
            "maxSchedules": 3,
            "minScheduleSeconds": 900,
        }
        assert answer["usage"] == {
            "apiCallsUsed": 0,
            "apiCallsLimit": 100,
            "apiCallsResetAt": answer["usage"]["apiCallsResetAt"],
            "storageUsedMB": 0,
            "storageLimitMB": 100,
        }
        assert answer["features"][:2] == ["3 workflows", "10 nodes per workflow"]

    @pytest.mark.parametrize(
        ("tier", "limits"),
        [
            ("premium", [-1, 50, 10_000, 10_240, 10_000, 50, 300]),
            ("enterprise", [-1, -1, -1, 102_400, 100_000, 500, 60]),
        ],
    )
    def test_says_what_the_tier_allows(self, client, session, user, tier, limits):
        stripe_outcomes.subscription(session, user, tier=tier, grants=tier)
        session.commit()
        answer = current(client)
        assert (answer["tier"], list(answer["limits"].values())) == (tier, limits)
        assert answer["features"][0] == "Unlimited workflows"
        assert (answer["currentPeriodStart"], answer["currentPeriodEnd"]) == (
            "2027-01-15T12:00:00Z",
            "2027-02-15T12:00:00Z",
        )

    def test_says_the_tier_that_counts_whatever_is_not_paid(self, client, session, user):
        stripe_outcomes.subscription(
            session, user, status="past_due", grants=Tier.FREE, past_due_since=stripe_outcomes.NOW
        )
        session.commit()
        answer = current(client)
        assert (answer["tier"], answer["status"], answer["limits"]["maxWorkflows"]) == ("free", "past_due", 3)
        assert answer["pastDueSince"] == "2027-01-15T12:00:00Z"

    def test_is_ones_own(self, client, session, other):
        stripe_outcomes.subscription(session, other)
        session.commit()
        assert current(client)["tier"] == "free"


class TestCreating:
    def test_with_a_card_is_paid_at_once(self, client, stripe):
        answer = subscribe(client)
        assert (answer.status_code, answer.headers["Location"]) == (201, "/api/subscriptions/current")
        assert set(answer.json) == {"subscription", "clientSecret", "authenticationUrl"}
        made = answer.json["subscription"]
        assert (made["tier"], made["status"], answer.json["clientSecret"]) == ("premium", "active", None)
        assert (current(client)["tier"], current(client)["status"]) == ("premium", "active")
        stripe_outcomes.send_all_events(client, stripe)
        assert client.get("/auth/me").json["user"]["subscriptionTier"] == "premium"
        assert client.get("/credits/balance").json["balance"] == 10

    def test_with_a_card_whose_bank_asks_gives_the_app_the_secret_to_ask_with(self, client, stripe):
        answer = subscribe(client, method="pm_card_authenticationRequired")
        assert (answer.status_code, answer.json["subscription"]["status"]) == (201, "requires_action")
        assert current(client)["tier"] == "free"
        stripe.complete_3ds(answer.json["clientSecret"])
        stripe_outcomes.send_all_events(client, stripe)
        assert (current(client)["tier"], current(client)["status"]) == ("premium", "active")

    def test_without_a_card_gives_the_app_a_secret_and_counts_once_it_is_paid(self, client, stripe):
        answer = subscribe(client, method=None)
        assert answer.status_code == 201
        assert set(answer.json) == {"subscription", "clientSecret", "authenticationUrl"}
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

    @pytest.mark.parametrize("card", ["pm_card_chargeDeclined", "pm_card_chargeCustomerFail"])
    def test_with_a_card_that_is_declined_is_a_402_and_leaves_nothing(self, client, stripe, card):
        answer = subscribe(client, method=card)
        assert (answer.status_code, answer.json["code"]) == (402, "card_declined")
        assert answer.json["message"] == "Your card was declined."
        stripe_outcomes.send_all_events(client, stripe)
        assert (current(client)["tier"], current(client)["status"], current(client)["priceId"]) == (
            "free",
            "active",
            None,
        )

    def test_takes_no_tier_from_the_body(self, client, stripe):
        body = {"priceId": PREMIUM, "paymentMethodId": "pm_card_visa", "tier": "enterprise", "userId": "somebody"}
        assert client.post("/api/subscriptions/create", json=body).json["subscription"]["tier"] == "premium"
        assert current(client)["tier"] == "premium"

    def test_of_another_plan_changes_the_one_there_is(self, client, stripe):
        subscribe(client)
        answer = subscribe(client, ENTERPRISE)
        assert (answer.status_code, answer.json["subscription"]["tier"]) == (201, "enterprise")
        assert current(client)["tier"] == "enterprise"
        assert len(stripe.objects("subscription")) == 1

    def test_of_the_plan_one_has_answers_with_it(self, client, stripe):
        first = subscribe(client)
        again = subscribe(client)
        assert (again.status_code, again.json) == (201, first.json)
        assert len(stripe.objects("charge")) == 1

    def test_after_a_cancellation_goes_on(self, client, stripe):
        subscribe(client)
        client.post("/api/subscriptions/cancel")
        assert subscribe(client).status_code == 201
        assert current(client)["cancelAtPeriodEnd"] is False

    def test_a_repeat_is_one_request_and_another_plan_has_to_wait(self, client, session):
        first = subscribe(client, Prefer="wait=0")
        again = subscribe(client, Prefer="wait=0")
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.headers["Location"] == again.headers["Location"]
        other = subscribe(client, ENTERPRISE, Prefer="wait=0")
        assert (other.status_code, other.json["code"]) == (409, "change_under_way")
        assert session.scalar(select(func.count()).select_from(StripeRequest)) == 1

    def test_with_a_key_happens_once(self, client, stripe):
        answers = [subscribe(client, **{"Idempotency-Key": "k"}) for _ in range(2)]
        assert {answer.status_code for answer in answers} == {201}
        assert answers[0].json == answers[1].json
        assert len(stripe.objects("subscription")) == 1

    def test_that_takes_longer_can_be_asked_for(self, client, stripe, session):
        address = subscribe(client, method=None).headers["Location"]
        request = stripe_outcomes.request(session)
        answer = client.get(f"/api/billing/requests/{request.id}")
        assert (answer.status_code, answer.headers["Location"]) == (201, address)
        assert answer.json["subscription"]["status"] == "incomplete"


class TestChanging:
    @pytest.fixture(autouse=True)
    def subscribed(self, client, stripe) -> None:
        subscribe(client)

    def test_to_another_plan(self, client, stripe):
        answer = client.put("/api/subscriptions/update", json={"priceId": ENTERPRISE})
        assert (answer.status_code, answer.json["subscription"]["tier"]) == (200, "enterprise")
        assert current(client)["tier"] == "enterprise"
        stripe_outcomes.send_all_events(client, stripe)
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
    stripe_outcomes.subscription(session, other)
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
    ],
)
def test_an_invalid_request_is_explained_without_a_call_of_stripe(client, sent, method, path, body, field):
    answer = client.open(path, method=method, json=body)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)
    assert sent == []


@pytest.mark.parametrize("method", ["", 7, "card", "pm_ 1", ["pm_1"]])
def test_a_payment_method_that_is_none_is_named(client, sent, method):
    answer = client.post("/subscriptions/create", json={"priceId": PREMIUM, "paymentMethodId": method})
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "paymentMethodId")
    assert sent == []


class TestPlans:
    def test_are_listed_with_price_and_limits(self, client):
        plans = client.get("/subscriptions/plans").json["plans"]
        assert [(plan["tier"], plan["priceId"], plan["priceCents"]) for plan in plans] == [
            ("free", None, 0),
            ("premium", "price_premium_monthly", 999),
            ("enterprise", "price_enterprise_monthly", 4999),
        ]
        assert plans[1]["limits"]["apiCallsPerMonth"] == 10_000
        assert plans[2]["limits"]["maxNodes"] == -1
        assert "50 nodes per workflow" in plans[1]["features"]


class TestPreview:
    def preview(self, client, price: str):
        return client.post("/api/subscriptions/preview", json={"priceId": price})

    def test_of_a_higher_plan_is_what_is_charged_at_once(self, client, stripe):
        subscribe(client)
        shown = self.preview(client, ENTERPRISE)
        assert shown.status_code == 200, shown.json
        assert (shown.json["chargedNow"], shown.json["chargedAt"], shown.json["currency"]) == (True, None, "USD")
        assert 0 < shown.json["amount"] <= 40
        assert sum(line["amount"] for line in shown.json["lines"]) == pytest.approx(shown.json["amount"])
        assert any(line["amount"] < 0 for line in shown.json["lines"])  # the unused part of the present plan
        assert current(client)["tier"] == "premium"  # nothing was changed

    def test_of_a_lower_plan_is_charged_with_the_next_period(self, client, stripe):
        subscribe(client, ENTERPRISE)
        shown = self.preview(client, PREMIUM)
        assert shown.status_code == 200, shown.json
        assert (shown.json["chargedNow"], shown.json["chargedAt"]) == (False, current(client)["currentPeriodEnd"])

    def test_needs_a_subscription_and_another_plan(self, client, stripe):
        assert self.preview(client, PREMIUM).status_code == 404
        subscribe(client)
        assert self.preview(client, PREMIUM).status_code == 409
        assert self.preview(client, "price_unknown").status_code == 422
