"""Moves held credits between a run and its child runs.

The caller has locked the rows of the runs, so that a hold and the cap of its run change together.
"""

from collections.abc import Collection
from decimal import Decimal
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import Uuid

_RESERVE = text("""
    WITH smaller AS (
        UPDATE credit_holds SET amount = amount - :amount WHERE execution_id = :parent AND status = 'held'
     RETURNING user_id
    )
    INSERT INTO credit_holds (execution_id, user_id, amount) SELECT :child, user_id, :amount FROM smaller
""")
_LOWER_CAP = text("""
    UPDATE workflow_executions SET credits_cap = credits_cap - :amount, updated_at = now()
     WHERE id = :parent RETURNING credits_cap
""")

# Credits that the owner added to a child go back to the wallet, not to its ancestors. Ended ancestors pass the refund
# on; if all have ended, it stays in the wallet. An ancestor that waits for credits is made due, and a running one is
# signalled, because none of its steps may be waiting for the child.
_REFUND = text("""
    WITH RECURSIVE up AS (
        SELECT c.parent_execution_id AS id, h.amount - h.captured - c.credits_added AS amount
          FROM workflow_executions c JOIN credit_holds h ON h.execution_id = c.id AND h.status <> 'held'
         WHERE c.id = ANY(:ids)
         UNION ALL
        SELECT p.parent_execution_id, up.amount - greatest(p.credits_added - h.amount + h.captured, 0)
          FROM up JOIN workflow_executions p ON p.id = up.id
               JOIN credit_holds h ON h.execution_id = p.id AND h.status <> 'held'
    ), rest AS (
        SELECT id, sum(amount) AS amount FROM up WHERE amount > 0 GROUP BY id
    ), larger AS (
        UPDATE credit_holds p SET amount = p.amount + rest.amount
          FROM rest WHERE p.execution_id = rest.id AND p.status = 'held'
     RETURNING p.execution_id, p.user_id, rest.amount
    ), caps AS (
        UPDATE workflow_executions e
           SET credits_cap = e.credits_cap + larger.amount, updated_at = now(),
               wake_at = CASE WHEN e.status = 'running'
                                OR (e.status = 'waiting' AND e.waiting_for->>'type' = 'budget') THEN now()
                              ELSE e.wake_at END
          FROM larger WHERE e.id = larger.execution_id
    )
    UPDATE credits c SET held = c.held + t.amount, updated_at = now()
      FROM (SELECT user_id, sum(amount) AS amount FROM larger GROUP BY user_id) t WHERE c.user_id = t.user_id
""").bindparams(bindparam("ids", type_=ARRAY(Uuid())))


def reserve_for_child(session: Session, parent: UUID, child: UUID, amount: Decimal) -> Decimal:
    """Reserve `amount` credits of a run's open hold for its new child; returns the cap that is left."""
    session.execute(_RESERVE, {"parent": parent, "child": child, "amount": amount})
    left: Decimal = session.execute(_LOWER_CAP, {"parent": parent, "amount": amount}).scalar_one()
    return left


def refund_to_ancestor(session: Session, children: Collection[UUID]) -> None:
    """Refund the unspent credits of children, settled in this transaction, to their nearest unfinished ancestors.

    The caller has locked all ancestors.
    """
    session.execute(_REFUND, {"ids": list(children)})
