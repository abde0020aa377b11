"""The wallet over HTTP: what the app reads of it, exact to the cent."""

from decimal import Decimal

from models.services.credits import ledger
from tests.support.api.graphs import workflow


def test_the_balance_says_what_is_held(client):
    workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
    client.post(f"/workflows/{workflow_id}/execute")
    answer = client.get("/api/credits/balance").json
    assert set(answer) == {"balance", "held", "available", "lastUpdated"}
    assert (answer["balance"], answer["held"], answer["available"]) == (10, 1.2, 8.8)
    assert answer["lastUpdated"].endswith("Z")


def test_the_history_lists_every_change_newest_first(client, session, user):
    ledger.grant(session, user.id, Decimal("0.07"), key="k", reason="A gift", source="test")
    session.commit()
    answer = client.get("/credits/history?limit=10").json
    assert set(answer) >= {"transactions", "count", "limit", "offset", "nextCursor"}
    newest = answer["transactions"][0]
    assert set(newest) >= {"id", "type", "amount", "reason", "source", "balanceAfter", "createdAt"}
    assert (newest["type"], newest["amount"], newest["balanceAfter"]) == ("credit", 0.07, 10.07)
    assert answer["count"] == 2


def test_the_history_goes_on_at_its_cursor(client, session, user):
    ledger.grant(session, user.id, Decimal(1), key="k", reason="A gift", source="test")
    session.commit()
    first = client.get("/credits/history?limit=1").json
    second = client.get(f"/credits/history?limit=1&cursor={first['nextCursor']}").json
    assert [page["transactions"][0]["balanceAfter"] for page in (first, second)] == [11, 10]


def test_prices_are_served(client):
    assert client.get("/credits/costs").json["costs"]["api_call_anthropic"] == 3
    packages = {package["id"]: package for package in client.get("/credits/packages").json["packages"]}
    assert packages["pack_500"] == {
        "id": "pack_500",
        "credits": 500,
        "bonus": 50,
        "priceCents": 3999,
        "price": 39.99,
        "currency": "USD",
    }
