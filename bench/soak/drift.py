"""Drift between the database and Stripe, computed independently of the service's own code."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import psycopg2

from models.rules.prices.pricing import CENT, PACKAGES

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Drift:
    """Counts of discrepancies; their labels for the table are in `NAMES`."""

    uncredited: int
    unclawed: int
    charged_twice: int
    wrong_balances: int
    unfinished: int
    unsettled: int
    violations: int

    @property
    def total(self) -> int:
        """Zero when nothing is wrong."""
        return sum(getattr(self, field.name) for field in fields(self))


NAMES = {
    "uncredited": "paid at Stripe, without credits",
    "unclawed": "refunded at Stripe, credits not taken back",
    "charged_twice": "purchases charged more than once",
    "wrong_balances": "users with a wrong balance",
    "unfinished": "runs that have not ended",
    "unsettled": "requests and events that are not settled",
    "violations": "ledger_violations()",
}


def query(database: str, statement: str, values: Sequence[Any] = ()) -> Rows:
    """Run one statement in its own connection; return its rows."""
    connection = psycopg2.connect(database)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()
    finally:
        connection.close()


def unsettled(database: str) -> int:
    """Requests to Stripe and events from it that wait for a worker, or for an administrator."""
    return _number(
        database,
        "SELECT (SELECT count(*) FROM stripe_requests WHERE status IN ('pending', 'working'))"
        " + (SELECT count(*) FROM stripe_events WHERE status IN ('received', 'waiting', 'dead'))",
    )


def unfinished(database: str) -> int:
    """The number of runs that have not ended."""
    statement = "SELECT count(*) FROM workflow_executions WHERE status NOT IN ('success', 'failed', 'cancelled')"
    return _number(database, statement)


def measure(database: str, intents: Sequence[Mapping[str, Any]], refunds: Sequence[Mapping[str, Any]]) -> Drift:
    """Compare the database with Stripe's payment intents and refunds."""
    paid = {intent["id"]: intent for intent in intents if intent["status"] == "succeeded"}
    refunded = [refund for refund in refunds if refund["status"] == "succeeded"]
    keys = {key for (key,) in query(database, "SELECT key FROM credit_transactions")}
    per_purchase = Counter(intent["metadata"]["agentforge_purchase"] for intent in paid.values())
    expected = _expected_balances(database, paid, refunded)
    balances: dict[str, Decimal] = dict(query(database, "SELECT user_id::text, balance FROM credits"))
    return Drift(
        uncredited=sum(f"pi:{intent_id}" not in keys for intent_id in paid),
        unclawed=sum(f"re:{refund['id']}" not in keys for refund in refunded),
        charged_twice=sum(times > 1 for times in per_purchase.values()),
        wrong_balances=sum(balances[user_id] != amount for user_id, amount in expected.items()),
        unfinished=unfinished(database),
        unsettled=unsettled(database),
        violations=_number(database, "SELECT count(*) FROM ledger_violations()"),
    )


def _expected_balances(
    database: str, paid: Mapping[str, Mapping[str, Any]], refunds: Sequence[Mapping[str, Any]]
) -> dict[str, Decimal]:
    """Expected balances: credits granted without Stripe, less the cost of runs, plus packages paid and not refunded."""
    given = (
        "SELECT sum(amount) FROM credit_transactions t WHERE t.user_id = u.id AND source IN ('welcome', 'adjustment')"
    )
    spent = "SELECT sum(credits_charged) FROM workflow_executions e WHERE e.user_id = u.id"
    expected: dict[str, Decimal] = dict(
        query(database, f"SELECT u.id::text, coalesce(({given}), 0) - coalesce(({spent}), 0) FROM users u")
    )
    returned: Counter[str] = Counter()
    for refund in refunds:
        returned[refund["payment_intent"]] += refund["amount"]
    for intent_id, intent in paid.items():
        package = PACKAGES[intent["metadata"]["agentforge_package"].split("/")[1]]
        granted = Decimal(package.credits + package.bonus)
        taken = (granted * returned[intent_id] / intent["amount"]).quantize(CENT, ROUND_HALF_UP)
        expected[intent["metadata"]["agentforge_user"]] += granted - taken
    return expected


def _number(database: str, statement: str) -> int:
    return int(query(database, statement)[0][0])
