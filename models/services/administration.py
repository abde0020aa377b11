"""What administrators look up of users and do to their wallets. Everything done is in the audit log."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, false, func, or_, select
from sqlalchemy.orm import Session

from models.credit import Credit, CreditTransaction, CreditType
from models.errors import FieldError, InsufficientCredits, InvalidInput, NotFound
from models.notification import NotificationKind
from models.rules.pricing import Tier
from models.services import audit, credits, notifications
from models.services.paging import Position, newest_first
from models.user import Role, User

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
    """Users, the newest first: those whose address, name or id has `q` in it, whatever the case."""
    query = select(User)
    if q:
        needle = q.strip().lower()
        texts = (func.lower(User.email), func.lower(User.name))
        query = query.where(or_(*(func.strpos(text, needle) > 0 for text in texts), _is_id(needle)))
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
    """Everybody's transactions, the newest first; only of one user, type or source if given."""
    query = select(CreditTransaction)
    if user_id is not None:
        query = query.where(CreditTransaction.user_id == user_id)
    if type is not None:
        query = query.where(CreditTransaction.type == type)
    if source is not None:
        query = query.where(CreditTransaction.source == source)
    return session.scalars(newest_first(query, CreditTransaction, limit=limit, offset=offset, after=after)).all()


def adjust(
    session: Session, admin: User, user_id: UUID, *, amount: Decimal, reason: str, address: str | None, key: str | None
) -> CreditTransaction:
    """Give credits, or take what is free; what runs hold is theirs until they end. The user is told.

    Args:
        amount: credits with at most two decimals; less than 0 takes.
        reason: a sentence for the user's history and for the log.
        key: names the wish, so that a repeat is answered with the first transaction, whenever it comes.

    Raises:
        NotFound: no such user.
        InvalidInput: nothing would move.
        InsufficientCredits: less is free than is to be taken.
        Conflict: `key` moved other credits before.
    """
    if amount == 0:
        raise InvalidInput("Nothing would move.", errors=[FieldError("amount", "Must not be 0.")])
    wallet = session.get(Credit, user_id, with_for_update=True, populate_existing=True)
    if wallet is None:
        raise NotFound("user")
    name = f"adjust:{key or uuid4()}"
    is_repeat = session.scalar(select(CreditTransaction.id).where(CreditTransaction.key == name)) is not None
    if amount < 0 and not is_repeat and wallet.balance - wallet.held < -amount:
        raise InsufficientCredits(-amount, wallet.balance - wallet.held)
    move = credits.grant if amount > 0 else credits.claw_back
    moved = move(session, user_id, abs(amount), key=name, reason=reason, source=SOURCE)
    if not is_repeat:
        data = {"amount": str(amount), "reason": reason, "transactionId": str(moved.id)}
        audit.record(session, actor=admin.id, action="credits.adjusted", subject=user_id, address=address, data=data)
        told = {"amount": f"{amount:.2f}", "balance": str(moved.balance_after), "reason": reason}
        notifications.add(session, user_id, NotificationKind.CREDITS_ADJUSTED, told, key=f"adjusted:{moved.id}")
    return moved


def _is_id(needle: str) -> ColumnElement[bool]:
    try:
        return User.id == UUID(needle)
    except ValueError:
        return false()
