"""Queries of administrators about users, and adjustments of balances. Every change is in the audit log."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, collate, false, func, or_, select
from sqlalchemy.orm import Session

from models.errors import FieldError, InsufficientCredits, InvalidInput, NotFound
from models.rules.prices.pricing import Tier
from models.rules.values import emails
from models.services.credits import ledger
from models.services.notifications import notifications
from models.services.operations import audit
from models.services.rows.queries import Position, newest_first
from models.tables import Credit, CreditTransaction, CreditType, NotificationKind, Role, User

SOURCE = "adjustment"


def users(
    session: Session,
    *,
    q: str | None = None,
    tier: Tier | None = None,
    role: Role | None = None,
    limit: int = 50,
    offset: int = 0,
    after: Position | None = None,
) -> Sequence[User]:
    """A page of users, newest first; with `q`, those whose address or name contains it, or whose id it is."""
    query = select(User)
    if q:
        term = q.strip()
        is_named = func.strpos(func.lower(User.name), func.lower(term)) > 0
        has_address = func.strpos(func.lower(collate(User.email, "C")), emails.key(term)) > 0
        query = query.where(or_(has_address, is_named, _has_id(term)))
    if tier is not None:
        query = query.where(User.subscription_tier == tier)
    if role is not None:
        query = query.where(User.role == role)
    return session.scalars(newest_first(query, User, limit=limit, offset=offset, after=after)).all()


def user(session: Session, user_id: UUID) -> User:
    """One user; raises `NotFound`."""
    found = session.get(User, user_id)
    if found is None:
        raise NotFound("user")
    return found


def transactions(
    session: Session,
    *,
    user_id: UUID | None = None,
    type: CreditType | None = None,
    source: str | None = None,
    limit: int = 50,
    offset: int = 0,
    after: Position | None = None,
) -> Sequence[CreditTransaction]:
    """A page of all users' transactions, newest first; only of one user, type or source if given."""
    query = select(CreditTransaction)
    if user_id is not None:
        query = query.where(CreditTransaction.user_id == user_id)
    if type is not None:
        query = query.where(CreditTransaction.type == type)
    if source is not None:
        query = query.where(CreditTransaction.source == source)
    return session.scalars(newest_first(query, CreditTransaction, limit=limit, offset=offset, after=after)).all()


def adjust(
    session: Session,
    admin: User | None,
    user_id: UUID,
    *,
    amount: Decimal,
    reason: str,
    address: str | None,
    key: str | None,
    operator: str | None = None,
) -> CreditTransaction:
    """Add credits to a user's balance, or remove available ones, and notify the user. Held credits stay.

    Args:
        session: the session of the transaction.
        admin: the administrator who does it; None for a command on this machine.
        user_id: the user.
        amount: credits with at most two decimals; below 0 to remove.
        reason: a sentence for the user's history and for the audit log.
        address: the IP address of the administrator, for the audit log.
        key: a permanent key of the request, so that a repeat returns the first transaction.
        operator: who ran the command, as user@host.

    Raises:
        NotFound: there is no such user.
        InvalidInput: `amount` is 0.
        InsufficientCredits: fewer credits are available than are to be removed.
        Conflict: `key` was used for another transaction.
    """
    if amount == 0:
        raise InvalidInput("An adjustment needs an amount.", errors=[FieldError("amount", "Must not be 0.")])
    wallet = session.get(Credit, user_id, with_for_update=True, populate_existing=True)
    if wallet is None:
        raise NotFound("user")
    name = f"adjust:{key or uuid4()}"
    is_repeat = session.scalar(select(CreditTransaction.id).where(CreditTransaction.key == name)) is not None
    if amount < 0 and not is_repeat and wallet.balance - wallet.held < -amount:
        raise InsufficientCredits(-amount, wallet.balance - wallet.held)
    move = ledger.grant if amount > 0 else ledger.claw_back
    moved = move(session, user_id, abs(amount), key=name, reason=reason, source=SOURCE)
    if not is_repeat:
        data = {"amount": str(amount), "reason": reason, "transactionId": str(moved.id)}
        data |= {"operator": operator} if operator else {}
        actor = admin.id if admin else None
        audit.record(session, actor=actor, action="credits.adjusted", subject=user_id, address=address, data=data)
        payload = {"amount": f"{amount:.2f}", "balance": str(moved.balance_after), "reason": reason}
        notifications.add(session, user_id, NotificationKind.CREDITS_ADJUSTED, payload, key=f"adjusted:{moved.id}")
    return moved


def _has_id(text: str) -> ColumnElement[bool]:
    try:
        return User.id == UUID(text)
    except ValueError:
        return false()
