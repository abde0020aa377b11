"""Users' own keys for AI providers: written, tried out, used by workers, never read back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import FieldError, InvalidInput, NotFound
from models.provider_key import KeyStatus, ProviderKey
from models.rules.pricing import Provider
from models.vault import Sealed, SecretUnreadable, Vault

# How the keys of each provider begin. OpenClaw is ours: users have no key for it.
PREFIXES = {Provider.OPENAI: ("sk-",), Provider.ANTHROPIC: ("sk-ant-",), Provider.GOOGLE: ("AIza", "AQ.")}
LENGTHS = range(16, 513)
RING_AGAIN = 10.0  # seconds after which the doorbell of a test is taken for lost

_DUE = text("""
    UPDATE provider_api_keys SET rung_at = now()
     WHERE id IN (
        SELECT id FROM provider_api_keys
         WHERE status = 'testing' AND greatest(rung_at, updated_at) < now() - make_interval(secs => :again)
         ORDER BY updated_at LIMIT :limit FOR UPDATE SKIP LOCKED)
 RETURNING id
""")

_UNCHANGED = {"updated_at": ProviderKey.updated_at}  # tells its owner when the key itself was stored

# Workers ask for a key at every call; one write a minute tells its owner enough.
_USED = text("""
    UPDATE provider_api_keys SET last_used_at = now()
     WHERE id = :id AND coalesce(last_used_at, '-infinity') < now() - interval '1 minute'
""")


@dataclass(frozen=True)
class Candidate:
    """A key to be tried out; `nonce` tells it from one that replaces it meanwhile."""

    id: UUID
    provider: Provider
    nonce: bytes
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Rotated:
    """What one batch of a rotation came to, and the last row it looked at (None: there are no more)."""

    sealed: int
    unreadable: int
    last: UUID | None


def put(session: Session, user_id: UUID, provider: Provider, secret: str, *, vault: Vault) -> ProviderKey:
    """Store or replace a user's key, encrypted and to be tested; raises `InvalidInput` for what cannot be one.

    The row keeps its id when the key is replaced, because the ciphertext is bound to it.
    """
    secret = secret.strip()
    _check(provider, secret)
    known = select(ProviderKey.id).where(ProviderKey.user_id == user_id, ProviderKey.provider == provider)
    row_id = session.scalar(known.with_for_update()) or uuid4()
    sealed = vault.encrypt(secret, user_id=user_id, provider=provider, row_id=row_id)
    values = _columns(sealed) | {"last4": secret[-4:], "status": KeyStatus.TESTING, "tested_at": None}
    row = insert(ProviderKey).values(id=row_id, user_id=user_id, provider=provider, **values)
    # Of two first keys at once the later one takes the row over, id and all: its ciphertext is bound to that id.
    replaced = row.on_conflict_do_update(
        index_elements=[ProviderKey.user_id, ProviderKey.provider],
        set_={"id": row_id, **values, "updated_at": func.now()},
    )
    return session.scalars(replaced.returning(ProviderKey), execution_options={"populate_existing": True}).one()


def list_owned(session: Session, user_id: UUID) -> Sequence[ProviderKey]:
    """A user's keys, of which only `last4`, the status and the dates may be shown."""
    return session.scalars(
        select(ProviderKey).where(ProviderKey.user_id == user_id).order_by(ProviderKey.provider)
    ).all()


def delete(session: Session, user_id: UUID, provider: Provider) -> None:
    """Forget a key; raises `NotFound`."""
    gone = session.scalar(
        delete_rows(ProviderKey)
        .where(ProviderKey.user_id == user_id, ProviderKey.provider == provider)
        .returning(ProviderKey.id)
    )
    if gone is None:
        raise NotFound("provider key")


def ask_for_test(session: Session, user_id: UUID, provider: Provider) -> ProviderKey:
    """Let a worker try the key out; the doorbell is the caller's to ring. Raises `NotFound`."""
    mine = update(ProviderKey).where(ProviderKey.user_id == user_id, ProviderKey.provider == provider)
    asked = mine.values(status=KeyStatus.TESTING, rung_at=func.now(), **_UNCHANGED).returning(ProviderKey)
    row = session.scalar(asked, execution_options={"populate_existing": True})
    if row is None:
        raise NotFound("provider key")
    return row


def candidate(session: Session, row_id: UUID, *, vault: Vault) -> Candidate | None:
    """The key that is to be tried out, or None when it was or is gone; raises `SecretUnreadable`."""
    row = session.scalar(select(ProviderKey).where(ProviderKey.id == row_id, ProviderKey.status == KeyStatus.TESTING))
    return Candidate(row.id, row.provider, row.nonce, _opened(row, vault)) if row else None


def record_test(session: Session, tested: Candidate, status: KeyStatus) -> None:
    """Keep what the provider said, unless the key was replaced meanwhile."""
    same = update(ProviderKey).where(ProviderKey.id == tested.id, ProviderKey.nonce == tested.nonce)
    session.execute(same.values(status=status, tested_at=func.now(), **_UNCHANGED))


def reject(session: Session, user_id: UUID, provider: Provider) -> None:
    """The provider refused the key during a run: its owner should see that."""
    mine = update(ProviderKey).where(ProviderKey.user_id == user_id, ProviderKey.provider == provider)
    session.execute(mine.values(status=KeyStatus.INVALID, tested_at=func.now(), **_UNCHANGED))


def due_tests(session: Session, *, limit: int = 100) -> Sequence[UUID]:
    """Keys whose doorbell got lost; marks them as rung."""
    return session.scalars(_DUE, {"again": RING_AGAIN, "limit": limit}).all()


def secret_for(session: Session, user_id: UUID, provider: Provider, *, vault: Vault) -> str | None:
    """The key itself, for a call that is about to be made; None when the user stored none.

    Raises `SecretUnreadable` when the key that it was encrypted with is gone.
    """
    row = session.scalar(select(ProviderKey).where(ProviderKey.user_id == user_id, ProviderKey.provider == provider))
    if row is None:
        return None
    session.execute(_USED, {"id": row.id})
    return _opened(row, vault)


def rotate(session: Session, *, vault: Vault, after: UUID | None, limit: int = 200, dry_run: bool = False) -> Rotated:
    """Seal the next `limit` keys again that were not sealed with the ring's first key, in the order of their ids.

    What cannot be opened is counted and left as it is. A replaced key is waited for, so none is passed over.
    """
    rows = session.scalars(
        select(ProviderKey)
        .where(ProviderKey.key_id != vault.current, *([ProviderKey.id > after] if after else []))
        .order_by(ProviderKey.id)
        .limit(limit)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    unreadable = 0
    for row in rows:
        try:
            secret = _opened(row, vault)
        except SecretUnreadable:
            unreadable += 1
            continue
        if not dry_run:
            sealed = vault.encrypt(secret, user_id=row.user_id, provider=row.provider, row_id=row.id)
            same = update(ProviderKey).where(ProviderKey.id == row.id)
            session.execute(same.values(_columns(sealed) | _UNCHANGED))
    return Rotated(len(rows) - unreadable, unreadable, rows[-1].id if len(rows) == limit else None)


def _opened(row: ProviderKey, vault: Vault) -> str:
    sealed = Sealed(row.key_id, row.nonce, row.ciphertext)
    return vault.decrypt(sealed, user_id=row.user_id, provider=row.provider, row_id=row.id)


def _columns(sealed: Sealed) -> dict[str, Any]:
    return {"key_id": sealed.key_id, "nonce": sealed.nonce, "ciphertext": sealed.ciphertext}


def _check(provider: Provider, secret: str) -> None:
    prefixes = PREFIXES.get(provider)
    if prefixes is None:
        raise InvalidInput(
            f"There are no keys for {provider}.", errors=[FieldError("provider", "Takes no key of yours.")]
        )
    is_plain = secret.isascii() and secret.isprintable() and " " not in secret
    if not (is_plain and len(secret) in LENGTHS and secret.startswith(prefixes)):
        message = f"Does not look like a key of {provider}, which begin with {prefixes[0]}."
        raise InvalidInput("This is not a key that can be stored.", errors=[FieldError("key", message)])
