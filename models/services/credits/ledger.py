"""Moves credits: granted and clawed back once per key, held at submission, settled once at the end of a run.

Wallets are locked before all other rows. A run updates its wallet twice; one row takes about 850 updates a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import Conflict, InsufficientCredits, NotFound
from models.raw_statement import assembled
from models.rules.prices.pricing import CENT
from models.serialization import to_json
from models.services.rows.queries import Position
from models.tables import Credit, CreditTransaction, CreditType

_INCREASE_HELD = text("""
    UPDATE credits c SET held = c.held + greatest(:amount - h.amount, 0), updated_at = now()
      FROM credit_holds h
     WHERE c.user_id = :user AND h.execution_id = :execution AND h.status = 'held'
       AND c.balance - c.held >= greatest(:amount - h.amount, 0)
 RETURNING c.user_id
""")

_RAISE_HOLD = text("""
    UPDATE credit_holds SET amount = greatest(amount, :amount) WHERE execution_id = :execution AND status = 'held'
""")

# Parts of a statement that settles the holds of runs; ASKED has the `id` of each and the `amount` to capture. Wallets
# are locked first and in the same order everywhere, so that two settlements cannot deadlock. Only open holds are
# settled, so a second settlement changes nothing. Several runs of one user get consecutive versions; each transaction
# has the balance after it.
SETTLE = """
    asked AS (ASKED), locked_wallets AS (
        SELECT user_id FROM credits
         WHERE user_id = ANY(ARRAY(SELECT user_id FROM credit_holds
                                    WHERE execution_id = ANY(ARRAY(SELECT id FROM asked)) AND status = 'held'))
         ORDER BY user_id FOR UPDATE
    ), settled AS (
        UPDATE credit_holds h
           SET status = CASE WHEN asked.amount > 0 THEN 'captured' ELSE 'released' END,
               captured = asked.amount, settled_at = now()
          FROM asked, locked_wallets w
         WHERE h.execution_id = asked.id AND h.status = 'held' AND h.user_id = w.user_id
     RETURNING h.execution_id, h.user_id, h.amount, h.captured
    ), totals AS (
        SELECT user_id, sum(amount) AS held, sum(captured) AS captured, count(*) FILTER (WHERE captured > 0) AS moves
          FROM settled GROUP BY user_id
    ), wallets AS (
        UPDATE credits c
           SET balance = c.balance - t.captured, held = c.held - t.held, version = c.version + t.moves,
               updated_at = now()
          FROM totals t WHERE c.user_id = t.user_id
     RETURNING c.user_id, c.balance + t.captured AS balance_before, c.version - t.moves AS version_before,
               c.balance - c.held AS available
    ), moved AS (
        INSERT INTO credit_transactions
               (user_id, version, key, type, amount, balance_after, reason, source, execution_id)
        SELECT s.user_id, w.version_before + row_number() OVER history, 'capture:' || s.execution_id, 'debit',
               s.captured, w.balance_before - sum(s.captured) OVER history, 'Workflow run', 'execution', s.execution_id
          FROM settled s JOIN wallets w ON w.user_id = s.user_id
         WHERE s.captured > 0
        WINDOW history AS (PARTITION BY s.user_id ORDER BY s.execution_id)
    )
"""

_SETTLE_MANY = assembled(
    "WITH SETTLE SELECT execution_id FROM settled",
    SETTLE=SETTLE,
    ASKED="SELECT * FROM jsonb_to_recordset(CAST(:amounts AS jsonb)) AS v(id uuid, amount numeric)",
)


class TransactionKeyReused(Conflict):
    """The key was used for another transaction."""

    code = "key_reused"

    def __init__(self, key: str) -> None:
        super().__init__(f"The key {key} was used for another transaction.")


@dataclass(frozen=True)
class Balance:
    """A wallet, in credits."""

    balance: Decimal
    held: Decimal
    last_updated: datetime

    @property
    def available(self) -> Decimal:
        """The credits that may be spent; negative after a clawback of more than was left."""
        return self.balance - self.held


@dataclass(frozen=True)
class Violation:
    """A violated invariant of the ledger; `subject` is the id of a user, an execution or a transaction."""

    invariant: str
    subject: UUID
    detail: str


def open_wallet(session: Session, user_id: UUID) -> None:
    """Create an empty wallet for a user; a repeat changes nothing."""
    session.execute(insert(Credit).values(user_id=user_id).on_conflict_do_nothing())


def grant(
    session: Session,
    user_id: UUID,
    amount: Decimal,
    *,
    key: str,
    reason: str,
    source: str,
    purchase_id: UUID | None = None,
) -> CreditTransaction:
    """Add credits once per `key`: a repeat returns the first transaction and moves nothing.

    Args:
        session: the session of the transaction.
        user_id: the owner of the wallet.
        amount: credits, more than 0, with at most two decimal places.
        key: the permanent key of the effect, such as `welcome:<user id>`.
        reason: a sentence for the user's history.
        source: the kind of cause, out of `ledger_causes.SOURCES`.
        purchase_id: the purchase that it belongs to, if any.

    Raises:
        NotFound: the user has no wallet.
        Conflict: `key` moved other credits before (code `key_reused`).
    """
    return _move(session, user_id, CreditType.CREDIT, amount, key, reason, source, purchase_id)


def claw_back(
    session: Session,
    user_id: UUID,
    amount: Decimal,
    *,
    key: str,
    reason: str,
    source: str,
    purchase_id: UUID | None = None,
) -> CreditTransaction:
    """Claw credits back once per `key`, even if they are spent or held: the balance may become negative.

    With a negative balance nothing can be spent until it is topped up. Arguments and errors are those of `grant`.
    """
    return _move(session, user_id, CreditType.DEBIT, amount, key, reason, source, purchase_id)


def raise_hold(session: Session, user_id: UUID, amount: Decimal, execution_id: UUID) -> None:
    """Raise the open hold of a run, whose row the caller has locked, to `amount` credits in total.

    Raises `InsufficientCredits` without a change.
    """
    values = {"user": user_id, "execution": execution_id, "amount": amount}
    if session.execute(_INCREASE_HELD, values).first() is None:
        raise InsufficientCredits(amount, available(session, user_id))
    session.execute(_RAISE_HOLD, values)


def settle(session: Session, execution_id: UUID, amount: Decimal) -> bool:
    """Capture `amount` of a run's hold and release the rest; returns False, without a change, if it is settled.

    `amount` is in credits, from 0 to the amount of the hold; the database rejects more.
    """
    return execution_id in settle_many(session, {execution_id: amount})


def settle_many(session: Session, amounts: Mapping[UUID, Decimal]) -> set[UUID]:
    """Settle the holds of several runs, each exactly once; returns the runs whose holds were open."""
    asked = [{"id": execution_id, "amount": str(amount)} for execution_id, amount in amounts.items()]
    return set(session.scalars(_SETTLE_MANY, {"amounts": to_json(asked)}))


def balance(session: Session, user_id: UUID) -> Balance:
    """The wallet of a user; raises `NotFound`."""
    row = session.execute(
        select(Credit.balance, Credit.held, Credit.updated_at).where(Credit.user_id == user_id)
    ).one_or_none()
    if row is None:
        raise NotFound("wallet")
    return Balance(row.balance, row.held, row.updated_at)


def available(session: Session, user_id: UUID) -> Decimal:
    """The credits that a user may spend; negative after a clawback of more than was left, 0 without a wallet."""
    free = session.scalar(select(Credit.balance - Credit.held).where(Credit.user_id == user_id))
    return free if free is not None else Decimal(0).quantize(CENT)


def history(
    session: Session, user_id: UUID, *, limit: int = 50, offset: int = 0, after: Position | None = None
) -> Sequence[CreditTransaction]:
    """A user's transactions, newest first; `after` is the last one of the previous page."""
    owned = select(CreditTransaction).where(CreditTransaction.user_id == user_id)
    if after:  # versions are unique per user, unlike times
        last = select(CreditTransaction.version).where(CreditTransaction.id == after[1])
        owned = owned.where(CreditTransaction.version < last.scalar_subquery())
    return session.scalars(owned.order_by(CreditTransaction.version.desc()).limit(limit).offset(offset)).all()


def violations(session: Session) -> list[Violation]:
    """The violated invariants of the ledger. Reads the whole ledger, so it is for reconciliation only."""
    rows = session.execute(text("SELECT invariant, subject, detail FROM ledger_violations()"))
    return [Violation(row.invariant, row.subject, row.detail) for row in rows]


def _move(
    session: Session,
    user_id: UUID,
    type: CreditType,
    amount: Decimal,
    key: str,
    reason: str,
    source: str,
    purchase_id: UUID | None,
) -> CreditTransaction:
    """Change a balance once per `key`. The wallet is locked first, so that repeats are serialized."""
    wallet = session.scalar(select(Credit.user_id).where(Credit.user_id == user_id).with_for_update())
    if wallet is None:
        raise NotFound("wallet")
    if first := session.scalar(select(CreditTransaction).where(CreditTransaction.key == key)):
        same = (user_id, type, amount, purchase_id)
        if (first.user_id, first.type, first.amount, first.purchase_id) != same:
            raise TransactionKeyReused(key)
        return first
    change = amount if type is CreditType.CREDIT else -amount
    balance, version = session.execute(
        update(Credit)
        .where(Credit.user_id == user_id)
        .values(balance=Credit.balance + change, version=Credit.version + 1)
        .returning(Credit.balance, Credit.version)
        .execution_options(synchronize_session=False)
    ).one()
    transaction = CreditTransaction(
        user_id=user_id,
        version=version,
        key=key,
        type=type,
        amount=amount,
        balance_after=balance,
        reason=reason,
        source=source,
        purchase_id=purchase_id,
    )
    session.add(transaction)
    session.flush()
    return transaction
