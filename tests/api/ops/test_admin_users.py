"""Administrators' views of users and of the business, and adjustments of balances."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.rules.executions.states import ExecutionStatus
from models.rules.prices.pricing import Tier
from models.services.credits import ledger
from models.services.operations import analytics, audit
from models.tables import Notification, Role, User
from tests.support import factories
from tests.support.api.stripe_outcomes import invoice
from tests.support.factories import billing


@pytest.fixture
def grace(new_user: Callable[..., User]) -> User:
    return new_user("grace@example.com", role=Role.ADMIN)


@pytest.fixture
def administrator(grace: User, sign_in) -> FlaskClient:
    return sign_in(grace)


class TestUsers:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", ["grace", "eve", "ada"]),
            ("q=EVE", ["eve"]),
            ("q=example.com&limit=2", ["grace", "eve"]),
            ("q=%25", []),
            ("tier=premium", ["eve"]),
            ("role=admin", ["grace"]),
            ("q=nobody", []),
        ],
    )
    def test_are_found_by_what_is_known_of_them(self, administrator, session, user, new_user, query, found):
        new_user("eve@example.com", tier=Tier.PREMIUM)
        ages = {"ada": 3, "eve": 2, "grace": 1}
        for name, age in ages.items():
            session.execute(
                text("UPDATE users SET created_at = now() - make_interval(hours => :age) WHERE email LIKE :name"),
                {"age": age, "name": f"{name}%"},
            )
        session.commit()
        answer = administrator.get(f"/admin/users?{query}")
        assert [row["email"].partition("@")[0] for row in answer.json["users"]] == found

    def test_one_is_shown_at_a_glance(self, administrator, session, user):
        factories.execution(session, factories.workflow(session, user), status=ExecutionStatus.SUCCESS)
        audit.record(session, actor=user.id, action="auth.login", subject=user.id, address="192.0.2.1")
        session.commit()
        shown = administrator.get(f"/admin/users/{user.id}").json
        assert (shown["user"]["email"], shown["wallet"]["available"]) == ("ada@example.com", 10)
        assert (shown["subscription"]["tier"], shown["subscription"]["usage"]["apiCallsLimit"]) == ("free", 100)
        assert [run["status"] for run in shown["executions"]] == ["success"]
        assert [move["source"] for move in shown["transactions"]] == ["test"]
        assert [(entry["action"], entry["address"]) for entry in shown["audit"]] == [("auth.login", "192.0.2.1")]
        assert "password" not in str(shown)

    def test_one_that_there_is_not(self, administrator):
        missing = "00000000-0000-0000-0000-000000000000"
        assert administrator.get(f"/admin/users/{missing}").status_code == 404
        answer = administrator.post(f"/admin/users/{missing}/credits", json={"amount": 1, "reason": "A gift"})
        assert answer.status_code == 404


class TestAdjusting:
    def adjust(self, client: FlaskClient, user: User, amount: float, **headers: str) -> Any:
        body = {"amount": amount, "reason": "For the outage"}
        return client.post(f"/admin/users/{user.id}/credits", json=body, headers=headers)

    def test_gives_and_takes_and_writes_down_who_did_it(self, administrator, session, grace, user):
        given = self.adjust(administrator, user, 5.5)
        assert given.status_code == 201
        assert given.json["transaction"]["source"] == "adjustment"
        assert given.json["transaction"]["balanceAfter"] == 15.5
        assert self.adjust(administrator, user, -15.5).json["transaction"]["type"] == "debit"
        entries = audit.entries(session, subject=user.id)
        assert {(e.actor_id, e.action, e.address, e.data["amount"]) for e in entries} == {
            (grace.id, "credits.adjusted", "127.0.0.1", "5.5"),
            (grace.id, "credits.adjusted", "127.0.0.1", "-15.5"),
        }
        assert ledger.violations(session) == []

    def test_without_an_address_is_audited_too(self, administrator, session, user):
        administrator.environ_base["REMOTE_ADDR"] = ""  # as behind a Unix socket
        assert self.adjust(administrator, user, 1).status_code == 201
        assert [entry.address for entry in audit.entries(session, subject=user.id)] == [None]

    def told(self, session: Session, user: User) -> list[dict[str, Any]]:
        mine = select(Notification).where(Notification.user_id == user.id, Notification.kind == "credits_adjusted")
        return [row.payload for row in session.scalars(mine.order_by(Notification.payload["balance"].astext.desc()))]

    def test_notifies_the_user_of_amount_and_reason(self, administrator, session, user):
        self.adjust(administrator, user, 5.5)
        self.adjust(administrator, user, -15.5)
        self.adjust(administrator, user, -1)
        assert self.told(session, user) == [
            {"amount": "5.50", "balance": "15.50", "reason": "For the outage"},
            {"amount": "-15.50", "balance": "0.00", "reason": "For the outage"},
        ]

    def test_takes_nothing_that_a_run_holds(self, administrator, session, user):
        factories.execution(session, factories.workflow(session, user), cap=8)
        session.commit()
        refused = self.adjust(administrator, user, -2.01)
        assert (refused.status_code, refused.json["code"]) == (402, "insufficient_credits")
        assert audit.entries(session, subject=user.id) == []
        assert self.adjust(administrator, user, -2).status_code == 201

    def test_happens_once_per_key_even_after_the_first_answer_is_forgotten(self, administrator, session, user):
        first = self.adjust(administrator, user, 5, **{"Idempotency-Key": "k"})
        session.execute(text("DELETE FROM idempotency_keys"))
        session.commit()
        again = self.adjust(administrator, user, 5, **{"Idempotency-Key": "k"})
        assert again.json == first.json
        assert len(audit.entries(session, subject=user.id)) == 1
        assert len(self.told(session, user)) == 1
        assert ledger.balance(session, user.id).balance == 15

    @pytest.mark.parametrize(
        "body",
        [
            {"amount": 0, "reason": "x"},
            {"amount": 1.001, "reason": "x"},
            {"amount": 1},
            {"amount": 1, "reason": " "},
            {"amount": "1", "reason": "x"},
            {"amount": 1e15, "reason": "x"},
        ],
    )
    def test_refuses_what_is_no_adjustment(self, administrator, user, body):
        assert administrator.post(f"/admin/users/{user.id}/credits", json=body).status_code == 422


class TestTransactions:
    def test_are_everybodys_by_user_type_and_source(self, administrator, session, user, other):
        def found(query: str) -> int:
            return administrator.get(f"/admin/transactions?{query}").json["count"]

        assert (found(""), found(f"userId={user.id}"), found("type=debit"), found("source=test")) == (3, 1, 0, 3)
        first = administrator.get("/admin/transactions?limit=2").json
        rest = administrator.get(f"/admin/transactions?limit=2&cursor={first['nextCursor']}").json
        seen = {move["id"] for move in (*first["transactions"], *rest["transactions"])}
        assert (len(seen), rest["count"], rest["nextCursor"]) == (3, 1, None)


def subscribe(session: Session, user: User, tier: Tier, status: str = "active", **columns: Any) -> None:
    values = {"user": user.id, "tier": tier, "status": status, "started": columns.get("started", 60)}
    session.execute(
        text("""
            INSERT INTO subscriptions (stripe_id, user_id, customer_id, price_id, item_id, tier, status, started_at,
                                       ended_at)
            VALUES (gen_random_uuid()::text, :user, 'cus', 'price', 'si', :tier, :status,
                    now() - make_interval(days => :started), now() - make_interval(days => :ended))
        """),
        values | {"ended": columns.get("ended")},
    )


class TestTheBusiness:
    def test_recurring_revenue_churn_and_conversion(self, administrator, session, new_user):
        people = [new_user(f"user{number}@example.com") for number in range(6)]
        subscribe(session, people[0], Tier.PREMIUM)
        subscribe(session, people[1], Tier.ENTERPRISE, "past_due")
        subscribe(session, people[2], Tier.PREMIUM, "canceled", ended=10)
        subscribe(session, people[3], Tier.PREMIUM, "canceled", started=90, ended=40)
        subscribe(session, people[4], Tier.PREMIUM, "incomplete")
        subscribe(session, people[5], Tier.PREMIUM, "trialing", started=5)
        session.commit()
        stats = administrator.get("/admin/stats").json
        assert stats["subscribers"] == {"premium": 1, "enterprise": 1}
        assert (stats["mrrCents"], stats["arrCents"]) == (999 + 4999, 12 * (999 + 4999))
        assert stats["churnRate"] == pytest.approx(33.3)  # one of the three who paid thirty days ago
        assert (stats["users"], stats["newUsers"], stats["activeUsers"]) == (7, 7, 7)
        assert stats["conversionRate"] == pytest.approx(57.1)  # four of seven

    def test_users_are_counted_once_an_hour_and_then_read_from_a_row(self, administrator, session, new_user):
        assert analytics.recount(session)
        new_user("late@example.com")
        before = administrator.get("/admin/stats").json
        assert not analytics.recount(session)
        assert administrator.get("/admin/stats").json == before
        session.execute(text("UPDATE business_totals SET counted_at = counted_at - interval '1 hour'"))
        assert analytics.recount(session)
        after = administrator.get("/admin/stats").json
        assert (before["users"], after["users"]) == (1, 2)
        assert after["countedAt"] >= before["countedAt"]

    def test_days_come_to_what_happened_on_them(self, administrator, session, user):
        billing.purchase(session, billing.customer(session, user), paid=True)
        for status in (ExecutionStatus.SUCCESS, ExecutionStatus.SUCCESS, ExecutionStatus.FAILED):
            factories.execution(
                session, factories.workflow(session, user), status=status, credits_charged=Decimal("1.20")
            )
        session.commit()
        bars = administrator.get("/admin/analytics?period=day").json["series"]
        assert (len(bars), bars[-1]["start"]) == (30, datetime.now(UTC).date().isoformat())
        assert (bars[-1]["signUps"], bars[-1]["runs"], bars[-1]["successRate"]) == (2, 3, pytest.approx(66.7))
        assert (bars[-1]["creditsUsed"], bars[-1]["creditsSold"], bars[-1]["packRevenueCents"]) == (3.6, 100, 999)
        assert administrator.get("/admin/stats").json["last"]["runs"] == 3

    def test_revenue_is_in_dollars_and_leaves_other_currencies_out(self, administrator, session, user):
        for currency, cents in (("usd", 999), ("usd", 4999), ("jpy", 150_000)):
            invoice(session, user, currency=currency, amount_cents=cents, paid_at=func.now(), subscription_id="sub")
        session.commit()
        [*_, today] = administrator.get("/admin/analytics?period=day").json["series"]
        assert today["subscriptionRevenueCents"] == 5998

    @pytest.mark.parametrize(("period", "bars"), [("day", 30), ("week", 12), ("month", 12), ("year", 5)])
    def test_a_past_day_is_added_up_once_and_is_in_its_bar(self, administrator, session, user, period, bars):
        three_days_ago = datetime.now(UTC) - timedelta(days=3)
        session.execute(text("UPDATE users SET created_at = :at"), {"at": three_days_ago})
        session.commit()
        assert analytics.close_days(session) == 3
        assert analytics.close_days(session) == 0
        series = administrator.get(f"/admin/analytics?period={period}").json["series"]
        assert (len(series), sum(bar["signUps"] for bar in series)) == (bars, 2)

    def test_a_year_has_all_of_its_days_and_no_others(self, administrator, session):
        this_year = datetime.now(UTC).year
        session.execute(text("UPDATE users SET created_at = :at"), {"at": datetime(this_year - 2, 12, 31, tzinfo=UTC)})
        closed = text("INSERT INTO daily_figures (day, figures, computed_at) VALUES (:day, :figures, now())")
        counts = dict.fromkeys(analytics.NAMES, 0) | {"credits_used": "0", "credits_sold": "0"}
        for year, month, day in ((0, 1, 1), (1, 12, 31), (1, 1, 1), (2, 12, 31)):
            written = orjson.dumps({**counts, "sign_ups": 10**year}).decode()
            session.execute(closed, {"day": date(this_year - year, month, day), "figures": written})
        session.commit()
        answer = administrator.get("/admin/analytics?period=year").json
        assert answer["period"] == "year"
        assert [bar["start"] for bar in answer["series"]] == [f"{this_year - back}-01-01" for back in range(4, -1, -1)]
        assert [bar["signUps"] for bar in answer["series"]] == [0, 0, 100, 20, 1]

    def test_a_day_that_had_not_settled_is_added_up_again(self, session, user):
        session.execute(text("UPDATE users SET created_at = now() - interval '3 days'"))
        analytics.close_days(session)
        session.execute(text("UPDATE daily_figures SET computed_at = day + interval '25 hours'"))
        assert analytics.close_days(session) == 2  # all but yesterday have settled since


def test_the_audit_log_is_filtered_by_actor_and_subject(administrator, session, user, grace):
    audit.record(session, actor=user.id, action="auth.login", subject=user.id)
    audit.record(session, actor=grace.id, action="credits.adjusted", subject=user.id)
    session.commit()
    assert administrator.get(f"/admin/audit?subject={user.id}").json["count"] == 2
    assert administrator.get(f"/admin/audit?actor={grace.id}").json["entries"][0]["action"] == "credits.adjusted"
    assert administrator.get("/admin/audit?action=auth.login").json["count"] == 1
