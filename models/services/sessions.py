"""Sessions: begun by signing in, carried on by refreshing, ended by their user, by a new epoch, or by a stolen token.

Each refresh begins a new generation. The token before it keeps working for a short grace, because requests may be
under way with it and the answer to a refresh may be lost. Whoever uses it later has a copy: that ends the session.
However often it is refreshed, a session does not last for ever: one day the password is asked for again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from models.errors import NotAuthenticated, NotFound
from models.plain import Plain, columns, copied
from models.services.paging import Position, newest_first
from models.user import User
from models.user_session import UserSession

LIFETIME = timedelta(hours=24)
GRACE = timedelta(seconds=60)
SEEN = timedelta(minutes=1)  # how exactly we remember when a session was used
AS_IT_IS = {"synchronize_session": False}  # rows that were read before may be left as they were
REMEMBERED = 8  # generations whose grace may still run; a phone refreshes once a day


_ID = User.id.type
_PRESENT = Plain(
    select(
        UserSession.generation,
        UserSession.refreshed_at,
        func.clock_timestamp(),  # the database's clock, which is one for all instances
        UserSession.last_seen_at,
        *columns(User),
    )
    .join(User, UserSession.user_id == User.id)
    .where(
        UserSession.id == bindparam("session", type_=_ID),
        User.id == bindparam("user", type_=_ID),
        UserSession.epoch == User.token_epoch,
    )
)


@dataclass(frozen=True)
class Presented:
    """A token that came with a request, as its session sees it."""

    user: User  # a copy
    session_id: UUID
    generation: int
    is_reused: bool  # it was refreshed, and its grace is over
    is_unseen: bool  # nobody wrote down in the last minute that the session is in use


def start(session: Session, user: User, *, user_agent: str | None, address: str | None) -> UserSession:
    """Begin a session of a user whose password was checked, in the epoch that was read with the password's hash."""
    row = UserSession(
        user_id=user.id,
        epoch=user.token_epoch,
        expires_at=func.now() + LIFETIME,
        user_agent=user_agent and user_agent[:300],
        address=address,
    )
    session.add(row)
    session.flush()
    return row


def present(session: Session, user_id: UUID, session_id: UUID, generation: int) -> Presented | None:
    """What a token stands for; None when its session is over or was never ours. One query: every request asks."""
    found = _PRESENT.first(session, {"session": session_id, "user": user_id})
    if found is None:
        return None
    newest, refreshed_at, now, last_seen_at, *facts = found
    age = newest - generation
    if age < 0:
        return None  # a token of a later generation than we know of, such as after the restore of a backup
    is_reused = age > len(refreshed_at) or (age > 0 and refreshed_at[-age] + GRACE <= now)
    return Presented(copied(User, facts), session_id, generation, is_reused, is_unseen=last_seen_at + SEEN <= now)


def touch(session: Session, session_id: UUID) -> None:
    """Write down that the session is in use."""
    now = func.clock_timestamp()
    row = update(UserSession).where(UserSession.id == session_id, UserSession.last_seen_at <= now - SEEN)
    session.execute(row.values(last_seen_at=now), execution_options=AS_IT_IS)


def refresh(session: Session, session_id: UUID, generation: int, *, longest: timedelta) -> int:
    """The generation of the next token for the holder of this one.

    Whoever asks twice with one token, as a phone does that heard no answer, gets two tokens of one generation.

    Raises:
        NotAuthenticated: the session is over meanwhile, or began as long ago as `longest`.
    """
    row = session.scalar(select(UserSession).where(UserSession.id == session_id).with_for_update())
    now = session.scalars(select(func.clock_timestamp())).one()
    if row is None or row.created_at + longest <= now:
        raise NotAuthenticated("This session is over: sign in again.")
    if row.generation == generation:
        row.generation += 1
        row.refreshed_at = [*row.refreshed_at, now][-REMEMBERED:]
    row.expires_at = func.now() + LIFETIME
    session.flush()
    return row.generation


def list_owned(
    session: Session, user: User, *, limit: int, offset: int = 0, after: Position | None = None
) -> Sequence[UserSession]:
    """The sessions of a user that count, newest first."""
    query = select(UserSession).where(
        UserSession.user_id == user.id, UserSession.epoch == user.token_epoch, UserSession.expires_at > func.now()
    )
    return session.scalars(newest_first(query, UserSession, limit=limit, offset=offset, after=after)).all()


def end(session: Session, user_id: UUID, session_id: UUID) -> None:
    """End one session of a user; raises `NotFound`."""
    mine = delete(UserSession).where(UserSession.id == session_id, UserSession.user_id == user_id)
    if session.scalar(mine.returning(UserSession.id)) is None:
        raise NotFound("session")


def end_others(session: Session, user_id: UUID, kept: UUID | None = None) -> None:
    """End all sessions of a user but the one that is kept.

    The epoch ends those too that begin at this very moment with what was true before.
    """
    raised = update(User).where(User.id == user_id).values(token_epoch=User.token_epoch + 1).returning(User.token_epoch)
    epoch = session.scalar(raised, execution_options=AS_IT_IS)
    others = delete(UserSession).where(UserSession.user_id == user_id, UserSession.id.is_distinct_from(kept))
    session.execute(others, execution_options=AS_IT_IS)
    if kept is not None:
        session.execute(update(UserSession).where(UserSession.id == kept).values(epoch=epoch))
