"""Moves credits: granted and taken back once per key, held at submit, settled once at the end. Wallets lock first.

A wallet is touched twice per run: one row takes about 850 updates a second, whatever the machine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import orjson
from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.credit import Credit, CreditTransaction, CreditType
from models.errors import Conflict, InsufficientCredits, NotFound
from models.rules.pricing import CENT
from models.services.paging import Position

_RAISE_HELD = text("""
    UPDATE credits c SET held = c.held + greatest(:amount - h.amount, 0), updated_at = now()
      FROM credit_holds h
     WHERE c.user_id = :user AND h.execution_id = :execution AND h.status = 'held'
       AND c.balance - c.held >= greatest(:amount - h.amount, 0)
 RETURNING c.user_id
""")

_RAISE_HOLD = text("""
    UPDATE credit_holds SET amount = greatest(amount, :amount) WHERE execution_id = :execution AND status = 'held'
""")

_LOCK_WALLETS = text("""
    SELECT user_id FROM credits
     WHERE user_id IN (SELECT user_id FROM credit_holds WHERE execution_id = ANY(CAST(:ids AS uuid[])))
     ORDER BY user_id FOR UPDATE
""")

# Only what is still held moves, so a second settlement finds nothing to do. Several runs of one user get consecutive
# versions; each transaction says the balance after itself.
_SETTLE = text("""
    WITH asked AS (
        SELECT * FROM jsonb_to_recordset(CAST(:amounts AS jsonb)) AS v(id uuid, amount numeric)
    ), settled AS (
        UPDATE credit_holds h
           SET status = CASE WHEN asked.amount > 0 THEN 'captured' ELSE 'released' END,
               captured = asked.amount, settled_at = now()
          FROM asked
         WHERE h.execution_id = asked.id AND h.status = 'held'
     RETURNING h.execution_id, h.user_id, h.amount, h.captured
    ), totals AS (
        SELECT user_id, sum(amount) AS held, sum(captured) AS captured, count(*) FILTER (WHERE captured > 0) AS moves
          FROM settled GROUP BY user_id
    ), wallets AS (
        UPDATE credits c
           SET balance = c.balance - t.captured, held = c.held - t.held, version = c.version + t.moves,
               updated_at = now()
          FROM totals t WHERE c.user_id = t.user_id
     RETURNING c.user_id, c.balance + t.captured AS balance_before, c.version - t.moves AS version_before
    ), moved AS (
        INSERT INTO credit_transactions
               (user_id, version, key, type, amount, balance_after, reason, source, execution_id)
        SELECT s.user_id, w.version_before + row_number() OVER history, 'capture:' || s.execution_id, 'debit',
               s.captured, w.balance_before - sum(s.captured) OVER history, 'Workflow run', 'execution', s.execution_id
          FROM settled s JOIN wallets w ON w.user_id = s.user_id
         WHERE s.captured > 0
        WINDOW history AS (PARTITION BY s.user_id ORDER BY s.execution_id)
    )
    SELECT execution_id FROM settled
""")


class KeyReused(Conflict):
    """One key names one effect; somebody used it for two."""

    code = "key_reused"

    def __init__(self, key: str) -> None:
        super().__init__(f"The key {key} stands for another movement of credits.")


@dataclass(frozen=True)
class Balance:
    """A wallet in credits; `available` is what may still be spent."""

    balance: Decimal
    held: Decimal
    last_updated: datetime

    @property
    def available(self) -> Decimal:
        """Negative when a clawback took more than there was."""
        return self.balance - self.held


@dataclass(frozen=True)
class Violation:
    """A promise of the ledger that is broken, and for whom: `subject` is a user or an execution."""

    invariant: str
    subject: UUID
    detail: str


def open_wallet(session: Session, user_id: UUID) -> None:
    """Give a user an empty wallet; a repeat changes nothing."""
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
    """Add credits once per `key`: a repeat is answered with the first transaction and moves nothing.

    Args:
        amount: credits, more than 0, at most two decimal places.
        key: names the effect for good, such as `welcome:<user id>`.
        reason: a sentence for the user's history.
        source: what kind of thing it came from.
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
    """Take credits back once per `key`, spent and held ones included: the balance may end below zero.

    Nothing may be spent then until more credits came in. Arguments and errors are those of `grant`.
    """
    return _move(session, user_id, CreditType.DEBIT, amount, key, reason, source, purchase_id)


def restore(
    session: Session, user_id: UUID, amount: Decimal, *, key: str, reason: str, source: str, purchase_id: UUID
) -> CreditTransaction:
    """Give back once per `key` what was taken back. Arguments and errors are those of `grant`."""
    return _move(session, user_id, CreditType.CREDIT, amount, key, reason, source, purchase_id)


def raise_hold(session: Session, user_id: UUID, amount: Decimal, execution_id: UUID) -> None:
    """Let the open hold of a run, whose row the caller has locked, cover `amount` credits in all.

    Raises `InsufficientCredits`; nothing was changed then.
    """
    values = {"user": user_id, "execution": execution_id, "amount": amount}
    if session.execute(_RAISE_HELD, values).first() is None:
        raise InsufficientCredits(amount, available(session, user_id))
    session.execute(_RAISE_HOLD, values)


def settle(session: Session, execution_id: UUID, amount: Decimal) -> bool:
    """Capture `amount` of a run's hold and release the rest; False if that was done before (then nothing changes).

    `amount` is 0 up to what is held: the database refuses more.
    """
    return execution_id in settle_many(session, {execution_id: amount})


def settle_many(session: Session, amounts: Mapping[UUID, Decimal]) -> set[UUID]:
    """Settle the holds of several runs at once, each exactly once; answers those that were still held.

    Wallets are locked first, in one order for everybody, so that two settlements never wait for each other.
    """
    session.execute(_LOCK_WALLETS, {"ids": [str(execution_id) for execution_id in amounts]})
    asked = [{"id": execution_id, "amount": str(amount)} for execution_id, amount in amounts.items()]
    return set(session.scalars(_SETTLE, {"amounts": orjson.dumps(asked).decode()}))


def balance(session: Session, user_id: UUID) -> Balance:
    """What a user has, and what of it is held; raises `NotFound`."""
    row = session.execute(
        select(Credit.balance, Credit.held, Credit.updated_at).where(Credit.user_id == user_id)
    ).one_or_none()
    if row is None:
        raise NotFound("wallet")
    return Balance(row.balance, row.held, row.updated_at)


def available(session: Session, user_id: UUID) -> Decimal:
    """Credits that a user may still spend, negative when a clawback took more than there was; 0 without a wallet."""
    free = session.scalar(select(Credit.balance - Credit.held).where(Credit.user_id == user_id))
    return free if free is not None else Decimal(0).quantize(CENT)


def history(
    session: Session, user_id: UUID, *, limit: int = 50, offset: int = 0, after: Position | None = None
) -> Sequence[CreditTransaction]:
    """A user's transactions, the newest first; `after` is the last one of the page before."""
    mine = select(CreditTransaction).where(CreditTransaction.user_id == user_id)
    if after:  # versions, unlike times, never tie
        last = select(CreditTransaction.version).where(CreditTransaction.id == after[1])
        mine = mine.where(CreditTransaction.version < last.scalar_subquery())
    return session.scalars(mine.order_by(CreditTransaction.version.desc()).limit(limit).offset(offset)).all()


def violations(session: Session) -> list[Violation]:
    """Every broken promise of the ledger; none is the only good answer. Reads the whole ledger: for reconciliation."""
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
    """Change a balance whatever it is, once per `key`. The wallet is locked first, so that repeats come one by one."""
    wallet = session.scalar(select(Credit.user_id).where(Credit.user_id == user_id).with_for_update())
    if wallet is None:
        raise NotFound("wallet")
    if first := session.scalar(select(CreditTransaction).where(CreditTransaction.key == key)):
        same = (user_id, type, amount, purchase_id)
        if (first.user_id, first.type, first.amount, first.purchase_id) != same:
            raise KeyReused(key)
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
