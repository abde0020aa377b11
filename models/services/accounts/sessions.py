"""Sessions: started by sign-in, prolonged by refreshes, ended by their user, by a new epoch, or by a reused token.

Each refresh begins a new generation. The previous token stays valid for a short grace period, because other requests
may still use it and the response to the refresh may be lost. Its use after that means that it was copied, which ends
the session. A session has a maximum age, after which the user has to sign in with the password again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, any_, bindparam, delete, func, select, text, update
from sqlalchemy.orm import Session

from models.errors import Forbidden, NotAuthenticated, NotFound
from models.raw_statement import PreparedStatement, columns, copied
from models.services.rows.queries import Position, newest_first
from models.tables import User, UserSession

LIFETIME = timedelta(hours=24)
GRACE = timedelta(seconds=60)
SEEN = timedelta(minutes=1)  # the precision of `last_seen_at`
AS_IT_IS = {"synchronize_session": False}  # objects that were loaded before need not be updated
REMEMBERED = 8  # generations whose grace period may not be over; the app refreshes once a day


_LIVE = text("""
    SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id AND u.token_epoch = s.epoch
     WHERE s.id = ANY(CAST(:ids AS uuid[])) AND s.expires_at > clock_timestamp()
     UNION ALL
    SELECT k.id FROM access_keys k JOIN users u ON u.id = k.user_id AND u.locked_at IS NULL
     WHERE k.id = ANY(CAST(:ids AS uuid[])) AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
""")

_ID = User.id.type
_AUTHENTICATE_ANY = (
    select(
        UserSession.generation,
        UserSession.refreshed_at,
        func.clock_timestamp(),  # the database's clock is the same for all processes
        UserSession.last_seen_at,
        UserSession.written_position,
        *columns(User),
    )
    .join(User, UserSession.user_id == User.id)
    .where(UserSession.epoch == User.token_epoch)
)
_AUTHENTICATE = PreparedStatement(
    _AUTHENTICATE_ANY.where(UserSession.id == bindparam("session", type_=_ID), User.id == bindparam("user", type_=_ID))
)
_AUTHENTICATE_MANY = PreparedStatement(
    _AUTHENTICATE_ANY.add_columns(UserSession.id).where(UserSession.id == any_(bindparam("sessions", type_=ARRAY(_ID))))
)


class AccountLocked(Forbidden):
    """An operator locked the account."""

    code = "account_locked"

    def __init__(self) -> None:
        super().__init__("This account is locked. Write to our support.")


class AccessToken(NamedTuple):
    """The claims of a token that we signed: user, session, and generation of its refresh."""

    user_id: UUID
    session_id: UUID
    generation: int


@dataclass(frozen=True)
class AuthenticatedSession:
    """The user of the token of a request, and the state of its session."""

    user: User  # a read-only copy
    is_reused: bool  # the token was refreshed, and its grace period is over
    is_unseen: bool  # the use of the session was not recorded in the last minute
    written_position: int  # in the write-ahead log, after the last write of the session


def start(session: Session, user: User, *, user_agent: str | None, address: str | None) -> UserSession:
    """Start a session for a user whose password was verified, in the epoch that was read with its hash.

    Raises `AccountLocked`; locking raises the epoch, so that a session of a user who was read before it is invalid.
    """
    if user.locked_at is not None:
        raise AccountLocked
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


def authenticate(session: Session, token: AccessToken) -> AuthenticatedSession | None:
    """Look up the session of a token; None if it has ended or never existed. One query, as every request does it."""
    found = _AUTHENTICATE.first(session, {"session": token.session_id, "user": token.user_id})
    return None if found is None else _authenticated(token, found)


def authenticate_many(session: Session, tokens: Collection[AccessToken]) -> Mapping[AccessToken, AuthenticatedSession]:
    """Look up the sessions of many tokens in one query; those that `authenticate` returns None for are left out."""
    rows = _AUTHENTICATE_MANY.rows(session, {"sessions": list({token.session_id for token in tokens})})
    by_session = {row[-1]: row[:-1] for row in rows}
    known = ((token, by_session[token.session_id]) for token in tokens if token.session_id in by_session)
    found = {token: _authenticated(token, row) for token, row in known}
    return {token: one for token, one in found.items() if one is not None and one.user.id == token.user_id}


def _authenticated(token: AccessToken, row: Sequence[Any]) -> AuthenticatedSession | None:
    newest, refreshed_at, now, last_seen_at, written_position, *values = row
    age = newest - token.generation
    if age < 0:
        return None  # the row is older than the token, such as after the restore of a backup
    is_reused = age > len(refreshed_at) or (age > 0 and refreshed_at[-age] + GRACE <= now)
    return AuthenticatedSession(
        copied(User, values),
        is_reused,
        is_unseen=last_seen_at + SEEN <= now,
        written_position=written_position,
    )


def touch(session: Session, session_id: UUID) -> None:
    """Record that the session is in use, at most once per minute."""
    now = func.clock_timestamp()
    row = update(UserSession).where(UserSession.id == session_id, UserSession.last_seen_at <= now - SEEN)
    session.execute(row.values(last_seen_at=now), execution_options=AS_IT_IS)


def refresh(session: Session, session_id: UUID, generation: int, *, longest: timedelta) -> int:
    """Prolong a session and return the generation of its next token.

    Refreshing twice with one token, as after a lost response, gives two tokens of the same generation.

    Raises:
        NotAuthenticated: the session has ended, or is older than `longest`.
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
    """The valid sessions of a user, newest first."""
    query = select(UserSession).where(
        UserSession.user_id == user.id, UserSession.epoch == user.token_epoch, UserSession.expires_at > func.now()
    )
    return session.scalars(newest_first(query, UserSession, limit=limit, offset=offset, after=after)).all()


def end(session: Session, user_id: UUID, session_id: UUID) -> None:
    """End one session of a user; raises `NotFound`."""
    owned = delete(UserSession).where(UserSession.id == session_id, UserSession.user_id == user_id)
    if session.scalar(owned.returning(UserSession.id)) is None:
        raise NotFound("session")


def end_others(session: Session, user_id: UUID, kept: UUID | None = None) -> None:
    """End all sessions of a user except `kept`.

    Raising the epoch also ends sessions that start concurrently, with a password verified before.
    """
    raised = update(User).where(User.id == user_id).values(token_epoch=User.token_epoch + 1).returning(User.token_epoch)
    epoch = session.scalar(raised, execution_options=AS_IT_IS)
    others = delete(UserSession).where(UserSession.user_id == user_id, UserSession.id.is_distinct_from(kept))
    session.execute(others, execution_options=AS_IT_IS)
    if kept is not None:
        session.execute(update(UserSession).where(UserSession.id == kept).values(epoch=epoch))


def live_credentials(session: Session, ids: Collection[UUID]) -> set[UUID]:
    """Return those of the ids of sessions and access keys that are valid: not ended, deleted or expired."""
    return set(session.scalars(_LIVE, {"ids": list(ids)}))
