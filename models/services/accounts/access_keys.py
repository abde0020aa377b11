"""Access keys: shown once, stored as a hash, valid until they expire or are deleted."""

import hashlib
import secrets
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Interval, any_, bindparam, cast, func, or_, select, update
from sqlalchemy import delete as delete_rows
from sqlalchemy.orm import Session

from models.errors import Conflict, FieldError, InvalidInput, NotFound, Quota
from models.raw_statement import PreparedStatement, columns, copied
from models.services.rows.queries import Position, lock_user, newest_first
from models.tables import AccessKey, KeyScope, User

PREFIX = "oc-"
LENGTH = 32  # letters and digits after the prefix: 190 bits
LETTERS = string.ascii_letters + string.digits
MAX_KEYS = 50  # of one user
USED = timedelta(minutes=1)  # the precision of `last_used_at`
USUAL = tuple(scope for scope in KeyScope if scope is not KeyScope.BILLING_WRITE)  # the default scopes


def _is_live() -> ColumnElement[bool]:
    return or_(AccessKey.expires_at.is_(None), AccessKey.expires_at > func.clock_timestamp())


def _is_unused() -> ColumnElement[bool]:
    return or_(
        AccessKey.last_used_at.is_(None), AccessKey.last_used_at <= func.clock_timestamp() - cast(USED, Interval)
    )


_AUTHENTICATE = PreparedStatement(
    select(
        AccessKey.secret_hash,
        AccessKey.id,
        AccessKey.scopes,
        _is_unused(),
        AccessKey.written_position,
        *columns(User),
    )
    .join(User, AccessKey.user_id == User.id)
    .where(
        AccessKey.secret_hash == any_(bindparam("hashes", type_=ARRAY(AccessKey.secret_hash.type))),
        _is_live(),
        User.locked_at.is_(None),
    )
)


class TooManyKeys(Conflict):
    """The user has the maximum number of access keys."""

    code = "access_key_limit_reached"

    def __init__(self) -> None:
        super().__init__(
            f"You have {MAX_KEYS} access keys: delete some before you create another one.",
            quota=Quota(MAX_KEYS, MAX_KEYS),
        )


@dataclass(frozen=True)
class AuthenticatedKey:
    """The user and scopes of the access key of a request."""

    user: User  # a read-only copy
    key_id: UUID
    scopes: frozenset[str]
    is_unused: bool  # its use was not recorded in the last minute
    written_position: int  # in the write-ahead log, after the last write with the key


def create(
    session: Session,
    user_id: UUID,
    *,
    name: str,
    scopes: Sequence[KeyScope] = USUAL,
    expires_at: datetime | None = None,
) -> tuple[AccessKey, str]:
    """Create a key and return its row and its secret, which is not stored.

    Raises `TooManyKeys`, and `InvalidInput` if `expires_at` has passed.
    """
    lock_user(session, user_id)
    if session.scalars(select(func.count()).where(AccessKey.user_id == user_id)).one() >= MAX_KEYS:
        raise TooManyKeys
    if expires_at is not None and expires_at <= session.scalars(select(func.clock_timestamp())).one():
        error = FieldError("expiresAt", "Must be in the future.")
        raise InvalidInput("The key would already be expired.", errors=[error])
    secret = PREFIX + "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    row = AccessKey(
        user_id=user_id,
        name=name,
        secret_hash=hash_of(secret),
        last4=secret[-4:],
        scopes=[scope.value for scope in KeyScope if scope in scopes],
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return row, secret


def list_owned(
    session: Session, user_id: UUID, *, limit: int, offset: int = 0, after: Position | None = None
) -> Sequence[AccessKey]:
    """A user's keys, newest first, including expired ones."""
    query = select(AccessKey).where(AccessKey.user_id == user_id)
    return session.scalars(newest_first(query, AccessKey, limit=limit, offset=offset, after=after)).all()


def count_live(session: Session, user_id: UUID) -> int:
    """The number of a user's keys that are valid now."""
    return session.scalars(select(func.count()).where(AccessKey.user_id == user_id, _is_live())).one()


def delete(session: Session, user_id: UUID, key_id: UUID) -> str:
    """Revoke a key at once and return its name; raises `NotFound`."""
    owned = delete_rows(AccessKey).where(AccessKey.id == key_id, AccessKey.user_id == user_id)
    name = session.scalar(owned.returning(AccessKey.name))
    if name is None:
        raise NotFound("access key")
    return name


def authenticate(session: Session, secret_hash: bytes) -> AuthenticatedKey | None:
    """Look up a key; None if it does not exist, has expired, or its user is locked."""
    return authenticate_many(session, [secret_hash]).get(secret_hash)


def authenticate_many(session: Session, secret_hashes: Collection[bytes]) -> Mapping[bytes, AuthenticatedKey]:
    """Look up many keys in one query; those that `authenticate` returns None for are left out."""
    rows = _AUTHENTICATE.rows(session, {"hashes": list(secret_hashes)})
    return {
        bytes(secret_hash): AuthenticatedKey(copied(User, values), key_id, frozenset(scopes), is_unused, position)
        for secret_hash, key_id, scopes, is_unused, position, *values in rows
    }


def touch(session: Session, key_id: UUID) -> None:
    """Record that the key is in use, at most once per minute."""
    session.execute(
        update(AccessKey).where(AccessKey.id == key_id, _is_unused()).values(last_used_at=func.clock_timestamp()),
        execution_options={"synchronize_session": False},
    )


def hash_of(secret: str) -> bytes:
    """What is stored of a key's secret, which has too many bits to be guessed from it."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
