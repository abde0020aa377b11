"""Access keys: shown once, stored as a hash, good until they expire or are deleted."""

import hashlib
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy import delete as delete_rows
from sqlalchemy.orm import Session

from models.access_key import AccessKey, Scope
from models.errors import Conflict, FieldError, InvalidInput, NotFound
from models.services.locks import lock_user
from models.services.paging import Position, newest_first
from models.user import User

PREFIX = "oc-"
LENGTH = 32  # letters and digits after the prefix: 190 bits
LETTERS = string.ascii_letters + string.digits
MOST = 50  # of one user
USED = timedelta(minutes=1)  # how exactly we remember when a key was used
USUAL = tuple(scope for scope in Scope if scope is not Scope.BILLING_WRITE)  # where nobody says what is allowed


class TooManyKeys(Conflict):
    """There are as many access keys as a user may have."""

    code = "access_key_limit_reached"

    def __init__(self) -> None:
        super().__init__(f"You have {MOST} access keys: delete some before you make another one.")


@dataclass(frozen=True)
class Presented:
    """A key that came with a request."""

    user: User
    key_id: UUID
    scopes: frozenset[str]
    is_unused: bool  # nobody wrote down in the last minute that it is in use


def create(
    session: Session,
    user_id: UUID,
    *,
    name: str,
    scopes: Sequence[Scope] = USUAL,
    expires_at: datetime | None = None,
) -> tuple[AccessKey, str]:
    """Make a key; the secret is in no row and never seen again. Raises `TooManyKeys` and `InvalidInput`."""
    lock_user(session, user_id)
    if session.scalars(select(func.count()).where(AccessKey.user_id == user_id)).one() >= MOST:
        raise TooManyKeys
    if expires_at is not None and expires_at <= session.scalars(select(func.clock_timestamp())).one():
        raise InvalidInput("This key would never work.", errors=[FieldError("expiresAt", "Must be in the future.")])
    secret = PREFIX + "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    row = AccessKey(
        user_id=user_id,
        name=name,
        secret_hash=_hash(secret),
        last4=secret[-4:],
        scopes=[scope.value for scope in Scope if scope in scopes],
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return row, secret


def list_owned(
    session: Session, user_id: UUID, *, limit: int, offset: int = 0, after: Position | None = None
) -> Sequence[AccessKey]:
    """A user's keys, newest first; expired ones too."""
    query = select(AccessKey).where(AccessKey.user_id == user_id)
    return session.scalars(newest_first(query, AccessKey, limit=limit, offset=offset, after=after)).all()


def count_live(session: Session, user_id: UUID) -> int:
    """How many keys of a user are accepted now."""
    return session.scalars(select(func.count()).where(AccessKey.user_id == user_id, _is_live())).one()


def delete(session: Session, user_id: UUID, key_id: UUID) -> str:
    """Revoke a key at once; answers its name. Raises `NotFound`."""
    mine = delete_rows(AccessKey).where(AccessKey.id == key_id, AccessKey.user_id == user_id)
    name = session.scalar(mine.returning(AccessKey.name))
    if name is None:
        raise NotFound("access key")
    return name


def present(session: Session, secret: str) -> Presented | None:
    """What a key stands for; None when there is none or it expired. One query: every request asks."""
    now = func.clock_timestamp()
    is_unused = or_(AccessKey.last_used_at.is_(None), AccessKey.last_used_at <= now - USED)
    found = session.execute(
        select(User, AccessKey.id, AccessKey.scopes, is_unused)
        .join(AccessKey, AccessKey.user_id == User.id)
        .where(AccessKey.secret_hash == _hash(secret), _is_live())
    ).one_or_none()
    return None if found is None else Presented(found[0], found[1], frozenset(found[2]), found[3])


def touch(session: Session, key_id: UUID) -> None:
    """Write down that the key is in use."""
    now = func.clock_timestamp()
    idle = or_(AccessKey.last_used_at.is_(None), AccessKey.last_used_at <= now - USED)
    session.execute(
        update(AccessKey).where(AccessKey.id == key_id, idle).values(last_used_at=now),
        execution_options={"synchronize_session": False},
    )


def _is_live() -> ColumnElement[bool]:
    return or_(AccessKey.expires_at.is_(None), AccessKey.expires_at > func.clock_timestamp())


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
