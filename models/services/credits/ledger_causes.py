"""Invariants between the ledger and its causes: each transaction has a cause, and each cause its transaction.

`SOURCES` is the complete list; other sources may not move credits. The database function `ledger_violations()` checks
the transactions of runs and purchases, this module those of the other sources.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.prices.pricing import PRICE_LISTS
from models.serialization import to_json
from models.services.credits.ledger import Violation


@dataclass(frozen=True)
class Source:
    """A source of transactions: its cause, the prefix of its keys, its directions, and the invariants that check it.

    `checks` are invariants of `ledger_violations()`; `queries` by invariant select (subject, detail) of violations.
    """

    cause: str
    key: str
    ways: str
    checks: tuple[str, ...] = ()
    queries: Mapping[str, str] = field(default_factory=dict)


_REVERSALS = ("taken_back_for_a_known_reason", "taken_back_as_recorded", "taken_back_is_the_share_returned")

SOURCES: Mapping[str, Source] = {
    "welcome": Source(
        "the verified address of its user, once",
        key="welcome:",
        ways="credit",
        queries={
            "welcome_is_given_once_to_a_verified_user": """
                SELECT t.id, format('%s gives the user %s %s', t.key, t.user_id, t.amount)
                  FROM credit_transactions t LEFT JOIN users u ON u.id = t.user_id AND u.email_verified_at IS NOT NULL
                 WHERE t.source = 'welcome' AND (u.id IS NULL OR t.key <> 'welcome:' || t.user_id)""",
        },
    ),
    "adjustment": Source(
        "an entry of the audit log, for as long as that is kept",
        key="adjust:",
        ways="credit debit",
        queries={
            "adjustment_is_in_the_audit_log": """
                SELECT t.id, format('%s %s for the user %s', t.type, t.amount, t.user_id)
                  FROM credit_transactions t
                 WHERE t.source = 'adjustment' AND t.created_at > now() - interval '365 days'
                   AND NOT EXISTS (
                       SELECT FROM audit_log a
                        WHERE a.subject_id = t.user_id AND a.action = 'credits.adjusted'
                          AND a.data->>'transactionId' = t.id::text
                          AND (a.data->>'amount')::numeric = CASE t.type WHEN 'credit' THEN t.amount ELSE -t.amount END)
            """,
            "audited_adjustment_was_made": """
                SELECT a.id, format('%s for the user %s', a.data->>'amount', a.subject_id)
                  FROM audit_log a
                 WHERE a.action = 'credits.adjusted'
                   AND NOT EXISTS (
                       SELECT FROM credit_transactions t
                        WHERE t.id::text = a.data->>'transactionId' AND t.source = 'adjustment'
                          AND t.user_id = a.subject_id)""",
        },
    ),
    "purchase": Source(
        "a paid purchase, once",
        key="pi:",
        ways="credit",
        checks=("grant_has_its_paid_purchase", "purchase_is_granted_once", "paid_purchase_has_its_grant"),
    ),
    "refund": Source("refunds of a paid purchase", key="re:", ways="credit debit", checks=_REVERSALS),
    "dispute": Source("disputes of a paid purchase", key="dp:", ways="credit debit", checks=_REVERSALS),
    "execution": Source(
        "the captured hold of a run",
        key="capture:",
        ways="debit",
        checks=("debit_has_its_captured_hold", "captured_hold_has_its_debit"),
    ),
    "usage": Source(
        "units of an operation on a price list, as the reason says",
        key="usage:",
        ways="debit",
        queries={
            "usage_costs_what_its_reason_says": """
                SELECT t.id, format('%s for "%s"', t.amount, t.reason)
                  FROM credit_transactions t,
                       LATERAL (SELECT regexp_match(t.reason, '^Usage: ([0-9.]+) x ([a-z_]+)') AS said) r
                 WHERE t.source = 'usage'
                   AND NOT EXISTS (
                       SELECT FROM jsonb_to_recordset(CAST(:prices AS jsonb)) AS p(operation text, price numeric)
                        WHERE p.operation = r.said[2] AND abs(t.amount - p.price * r.said[1]::numeric) <= 0.01)""",
        },
    ),
}

_UNKNOWN_SOURCE = text("""
    SELECT t.id, format('%s: %s of %s, "%s"', t.key, t.type, t.amount, t.source) AS detail
      FROM credit_transactions t
      LEFT JOIN jsonb_to_recordset(CAST(:sources AS jsonb)) AS s(name text, key text, ways text) ON s.name = t.source
     WHERE (starts_with(t.key, s.key) AND strpos(s.ways, t.type) > 0) IS NOT TRUE
     ORDER BY t.user_id, t.version
""")


def violations(session: Session) -> list[Violation]:
    """Transactions without their cause, and causes without their transaction.

    Reads the whole ledger, so it is for reconciliation only.
    """
    known = [{"name": name, "key": one.key, "ways": one.ways} for name, one in SOURCES.items()]
    unknown = session.execute(_UNKNOWN_SOURCE, {"sources": to_json(known)}).tuples()
    found = [Violation("source_is_known", subject, detail) for subject, detail in unknown]
    for source in SOURCES.values():
        for invariant, query in source.queries.items():
            rows = session.execute(text(query), {"prices": _PRICES} if ":prices" in query else {}).tuples()
            found += [Violation(invariant, subject, detail) for subject, detail in rows]
    return found


_PRICES = to_json(
    [
        {"operation": operation, "price": str(price)}
        for prices in PRICE_LISTS.values()
        for operation, price in prices.costs.items()
    ]
)
