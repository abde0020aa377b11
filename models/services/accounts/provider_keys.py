"""Users' own keys for AI providers: stored, tested and used by workers, never returned to callers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import FieldError, InvalidInput, NotFound
from models.rules.prices.pricing import Provider
from models.services.rows import inbox
from models.tables import KeyStatus, ProviderKey
from models.vault import Sealed, SecretUnreadable, Vault

# Prefixes of each provider's keys. Users have no keys for OpenClaw, which is ours.
PREFIXES = {Provider.OPENAI: ("sk-",), Provider.ANTHROPIC: ("sk-ant-",), Provider.GOOGLE: ("AIza", "AQ.")}
LENGTHS = range(16, 513)
REDELIVERY_SECONDS = 10.0  # after which the message of a test is considered lost

_UNCHANGED = {"updated_at": ProviderKey.updated_at}  # shows when the key itself was stored

# Workers read a key for every call; `last_used_at` is written at most once a minute.
_USED = text("""
    UPDATE provider_api_keys SET last_used_at = now()
     WHERE id = :id AND coalesce(last_used_at, '-infinity') < now() - interval '1 minute'
""")


@dataclass(frozen=True)
class Candidate:
    """A key to test; `nonce` distinguishes it from one that replaces it meanwhile."""

    id: UUID
    provider: Provider
    nonce: bytes
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Rotated:
    """The result of a batch of a rotation; `last` is the id of its last row, None if no rows are left."""

    sealed: int
    unreadable: int
    last: UUID | None


def put(session: Session, user_id: UUID, provider: Provider, secret: str, *, vault: Vault) -> ProviderKey:
    """Store or replace a user's key, encrypted, for a test; raises `InvalidInput` for text that cannot be a key.

    The row keeps its id when the key is replaced, because the ciphertext is bound to it.
    """
    secret = secret.strip()
    _check(provider, secret)
    known = select(ProviderKey.id).where(ProviderKey.user_id == user_id, ProviderKey.provider == provider)
    row_id = session.scalar(known.with_for_update()) or uuid4()
    sealed = vault.encrypt(secret, user_id=user_id, provider=provider, row_id=row_id)
    values = _columns(sealed) | {"last4": secret[-4:], "status": KeyStatus.TESTING, "tested_at": None}
    row = insert(ProviderKey).values(id=row_id, user_id=user_id, provider=provider, **values)
    # Of two concurrent first keys the later one replaces the row with its id, to which its ciphertext is bound.
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
    """Delete a key; raises `NotFound`."""
    deleted = session.scalar(
        delete_rows(ProviderKey)
        .where(ProviderKey.user_id == user_id, ProviderKey.provider == provider)
        .returning(ProviderKey.id)
    )
    if deleted is None:
        raise NotFound("provider key")


def request_test(session: Session, user_id: UUID, provider: Provider) -> ProviderKey:
    """Mark a key for a test, whose task the caller enqueues; raises `NotFound`."""
    owned = update(ProviderKey).where(ProviderKey.user_id == user_id, ProviderKey.provider == provider)
    marked = owned.values(status=KeyStatus.TESTING, enqueued_at=func.now(), **_UNCHANGED).returning(ProviderKey)
    row = session.scalar(marked, execution_options={"populate_existing": True})
    if row is None:
        raise NotFound("provider key")
    return row


def candidate(session: Session, row_id: UUID, *, vault: Vault) -> Candidate | None:
    """The key to test, or None if it was tested or deleted meanwhile; raises `SecretUnreadable`."""
    row = session.scalar(select(ProviderKey).where(ProviderKey.id == row_id, ProviderKey.status == KeyStatus.TESTING))
    return Candidate(row.id, row.provider, row.nonce, _opened(row, vault)) if row else None


def record_test(session: Session, tested: Candidate, status: KeyStatus) -> None:
    """Store the result of a test, unless the key was replaced meanwhile."""
    same = update(ProviderKey).where(ProviderKey.id == tested.id, ProviderKey.nonce == tested.nonce)
    session.execute(same.values(status=status, tested_at=func.now(), **_UNCHANGED))


def reject(session: Session, user_id: UUID, provider: Provider) -> None:
    """Mark a key as invalid that its provider rejected during a run."""
    owned = update(ProviderKey).where(ProviderKey.user_id == user_id, ProviderKey.provider == provider)
    session.execute(owned.values(status=KeyStatus.INVALID, tested_at=func.now(), **_UNCHANGED))


def due_tests(session: Session, *, limit: int = 100) -> Sequence[UUID]:
    """Keys whose test lost its message; marks them as enqueued."""
    enqueued_at = func.greatest(ProviderKey.enqueued_at, ProviderKey.updated_at)
    return inbox.take_due(
        session,
        ProviderKey.id,
        ProviderKey.status == KeyStatus.TESTING,
        enqueued_at < func.now() - timedelta(seconds=REDELIVERY_SECONDS),
        oldest=ProviderKey.updated_at,
        limit=limit,
        enqueued_at=func.now(),
        **_UNCHANGED,
    )


def secret_for(session: Session, user_id: UUID, provider: Provider, *, vault: Vault) -> str | None:
    """The plaintext of a user's key, for a call right afterwards; None if the user stored none.

    Raises `SecretUnreadable` if its encryption key was removed.
    """
    row = session.scalar(select(ProviderKey).where(ProviderKey.user_id == user_id, ProviderKey.provider == provider))
    if row is None:
        return None
    session.execute(_USED, {"id": row.id})
    return _opened(row, vault)


def rotate(session: Session, *, vault: Vault, after: UUID | None, limit: int = 200, dry_run: bool = False) -> Rotated:
    """Seal the next `limit` keys again that were not sealed with the ring's first key, in the order of their ids.

    Keys that cannot be opened are counted and left. Locked rows are waited for, so that no key is skipped.
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
        wrong = FieldError("provider", f"Must be one of {', '.join(PREFIXES)}.")
        raise InvalidInput(f"There are no keys for {provider}.", errors=[wrong])
    is_plain = secret.isascii() and secret.isprintable() and " " not in secret
    if not (is_plain and len(secret) in LENGTHS and secret.startswith(prefixes)):
        message = f"Must be a key of {provider}, which begins with {prefixes[0]}."
        raise InvalidInput("This is not a key that can be stored.", errors=[FieldError("key", message)])
