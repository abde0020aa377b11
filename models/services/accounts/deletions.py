"""Deletes accounts: personal data in the transaction of the request, the bulk of the other data soon afterwards.

The row of the user is anonymized and stays, because the ledger, receipts, invoices and the audit log refer to it. Long
work is done in small batches by a periodic task, which finds the remaining work in the rows, so that a crash loses
nothing. `DECISIONS` has the treatment of every table that refers to a user.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from uuid import UUID

import structlog
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.rules.values import emails
from models.services.accounts import account_access, sessions
from models.services.notifications import notifications
from models.services.rows.queries import lock_user
from models.services.stripe import customers
from models.tables import WRITTEN, Execution, FormerAddress, Notification, Role, StripeRequest, Template, User
from models.vault import Vault

log = structlog.get_logger(__name__)

NAME = "Deleted user"
NO_ADDRESS = "deleted-{id}@deleted.invalid"  # a domain that never exists (RFC 2606)
NO_HASH = "deleted"  # matches no password
PURPOSE = "former address"
USERS, ROWS = 20, 1000  # in one transaction


class Fate(StrEnum):
    """The treatment of a deleted user's rows in a table."""

    AT_ONCE = "at once"  # deleted in the transaction of the request
    SOON = "soon"  # deleted by the periodic task
    EMPTIED = "emptied"  # the row stays for references to it, without the user's text
    KEPT = "kept"  # needed for accounting, security or other users; without personal data


DECISIONS: Mapping[str, Fate] = {
    "access_keys": Fate.AT_ONCE,
    "data_exports": Fate.AT_ONCE,
    "email_links": Fate.AT_ONCE,
    "idempotency_keys": Fate.AT_ONCE,
    "muted_topics": Fate.AT_ONCE,
    "notifications": Fate.AT_ONCE,
    "password_resets": Fate.AT_ONCE,
    "provider_api_keys": Fate.AT_ONCE,
    "push_devices": Fate.AT_ONCE,
    "quarantined_runs": Fate.AT_ONCE,  # otherwise pruning would keep the runs
    "sessions": Fate.AT_ONCE,
    "template_reports": Fate.AT_ONCE,
    "templates": Fate.AT_ONCE,
    "two_factor": Fate.AT_ONCE,
    "workflow_schedules": Fate.AT_ONCE,
    "unsubscribe_keys": Fate.AT_ONCE,
    "api_calls": Fate.SOON,
    "storage_used": Fate.SOON,
    "workflow_executions": Fate.SOON,
    "audit_log": Fate.EMPTIED,  # names and reasons; the rest stays for a year
    "receipts": Fate.EMPTIED,
    "workflows": Fate.EMPTIED,
    "billing_alerts": Fate.KEPT,
    "credit_holds": Fate.KEPT,
    "credit_transactions": Fate.KEPT,
    "credits": Fate.KEPT,
    "invoices": Fate.KEPT,
    "payment_methods": Fate.KEPT,  # detached at Stripe; brand and last four digits
    "purchases": Fate.KEPT,
    "stripe_requests": Fate.KEPT,
    "subscriptions": Fate.KEPT,
}

_HIDE = "DELETE FROM {table} WHERE user_id = :user"
_AT_ONCE = [
    text(_HIDE.format(table=table))
    for table, fate in DECISIONS.items()
    if fate is Fate.AT_ONCE and table not in ("notifications", "templates")
]
_AT_ONCE.append(  # all except the notification about the deletion, until it is sent
    text("""
        DELETE FROM notifications
         WHERE user_id = :user AND NOT (kind = 'account_deleted' AND status IN ('pending', 'sending'))
    """)
)
_SOON = [text(_HIDE.format(table=table)) for table in ("api_calls", "storage_used")]
_LET_GO = text("""
    UPDATE workflow_executions SET kept_until = now() - interval '1 second'
     WHERE id = ANY(ARRAY(
        SELECT id FROM workflow_executions
         WHERE user_id = :user AND finished_at IS NOT NULL AND expired_at IS NULL
           AND coalesce(kept_until, 'infinity') > now()
         LIMIT :limit FOR UPDATE SKIP LOCKED))
 RETURNING 1
""")
_EMPTY = [
    # Items keep ids, numbers and amounts; labels and names are removed, because the user wrote them.
    text("""
        UPDATE receipts
           SET workflow_name = '',
               document = jsonb_set(document, '{items}', (
                   SELECT coalesce(jsonb_agg(item || '{"label": ""}'), '[]')
                     FROM jsonb_array_elements(document->'items') item))
         WHERE user_id = :user
    """),
    text("""
        DELETE FROM workflow_versions v USING workflows w WHERE w.id = v.workflow_id AND w.user_id = :user
    """),
    text("""
        UPDATE audit_log SET data = data - CAST(:written AS text[]) WHERE subject_id = :user
           AND data ?| CAST(:written AS text[])
    """).bindparams(written=list(WRITTEN)),
    text("UPDATE workflows SET name = '', description = '' WHERE user_id = :user"),
    # Stripe's events contain name and address of the customer. Events that are not handled yet are left.
    text("""
        UPDATE stripe_events SET raw = ''
         WHERE handled_at IS NOT NULL AND raw <> ''::bytea
           AND position((SELECT convert_to(stripe_customer_id, 'UTF8') FROM users WHERE id = :user) IN raw) > 0
    """),
]


def delete_account(session: Session, user: User, *, vault: Vault) -> tuple[StripeRequest | None, Sequence[UUID]]:
    """Delete an account as far as that is fast, and leave the rest to the periodic task. This cannot be undone.

    From the commit on, all sessions are ended, the address is free, no notifications are sent and no data is shown.
    Workers stop the runs and end the subscription.

    Returns:
        The request to Stripe, if any, and the ids of the notifications, for the caller to enqueue.
    """
    lock_user(session, user.id)
    verified = select(User.email).where(User.id == user.id, User.email_verified_at.is_not(None))
    address = session.scalar(verified)
    _remember_address(session, user.email, vault)
    sessions.end_others(session, user.id)
    account_access.stop_runs(session, user.id)
    for statement in _AT_ONCE:
        session.execute(statement, {"user": user.id})
    session.execute(delete(Template).where(Template.owner_id == user.id))
    account_access.delete_workflows(session, user.id)
    session.execute(
        update(User)
        .where(User.id == user.id)
        .values(
            email=NO_ADDRESS.format(id=user.id),
            pending_email=None,
            name=NAME,
            password_hash=NO_HASH,
            role=Role.USER,
            deleted_at=func.now(),
        ),
        execution_options={"synchronize_session": False},
    )
    mails = notifications.add_farewell(session, user.id, address) if address else ()
    return customers.close_if_deleted(session, user.id), mails


def had_account(session: Session, email: str, *, vault: Vault) -> bool:
    """Whether an account with this address was deleted before."""
    hashes = vault.fingerprints(emails.key(email), purpose=PURPOSE)
    known = select(FormerAddress.address_hash).where(FormerAddress.address_hash.in_(hashes))
    return session.scalar(known.limit(1)) is not None


def erase(session: Session, *, limit: int = USERS) -> int:
    """Take the next step for at most `limit` deleted users whose data is not erased; returns the number of steps.

    A step that fails is logged and does not keep the others from theirs.
    """
    waiting = select(User.id).where(User.deleted_at.is_not(None), User.erased_at.is_(None))
    ids = session.scalars(waiting.order_by(func.random()).limit(limit).with_for_update(skip_locked=True)).all()
    return sum(_erase(session, user_id) for user_id in ids)


def _remember_address(session: Session, email: str, vault: Vault) -> None:
    address_hash = vault.fingerprints(emails.key(email), purpose=PURPOSE)[0]
    session.execute(insert(FormerAddress).values(address_hash=address_hash).on_conflict_do_nothing())


def _erase(session: Session, user_id: UUID) -> bool:
    """Take a step for a user; returns whether it changed anything and more may be left."""
    try:
        with session.begin_nested():
            return _step(session, user_id)
    except Exception:
        log.exception("deletion.step_failed", user_id=str(user_id))
        return False


def _step(session: Session, user_id: UUID) -> bool:
    for statement in _AT_ONCE:  # requests that were under way may have added some meanwhile
        session.execute(statement, {"user": user_id})
    account_access.stop_runs(session, user_id)
    if session.execute(_LET_GO, {"user": user_id, "limit": ROWS}).all():
        return True
    runs = select(Execution.id).where(Execution.user_id == user_id).limit(1)
    if session.scalar(runs) is not None:
        return False  # a run has not ended, or pruning is not done
    unsent = select(Notification.id).where(Notification.user_id == user_id).limit(1)
    if session.scalar(unsent) is not None:
        return False
    for statement in (*_SOON, *_EMPTY):
        session.execute(statement, {"user": user_id})
    session.execute(update(User).where(User.id == user_id).values(erased_at=func.clock_timestamp()))
    return True
