"""Users' own keys for AI providers: written, used by workers, never read back."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import FieldError, InvalidInput, NotFound
from models.provider_key import ProviderKey
from models.rules.pricing import Provider
from models.vault import Sealed, Vault

# How the keys of each provider begin. OpenClaw is ours: users have no key for it.
PREFIXES = {Provider.OPENAI: ("sk-",), Provider.ANTHROPIC: ("sk-ant-",), Provider.GOOGLE: ("AIza", "AQ.")}
LENGTHS = range(16, 513)


def put(session: Session, user_id: UUID, provider: Provider, secret: str, *, vault: Vault) -> ProviderKey:
    """Store or replace a user's key, encrypted; raises `InvalidInput` for what cannot be one.

    The row keeps its id when the key is replaced, because the ciphertext is bound to it.
    """
    secret = secret.strip()
    _check(provider, secret)
    known = select(ProviderKey.id).where(ProviderKey.user_id == user_id, ProviderKey.provider == provider)
    row_id = session.scalar(known.with_for_update()) or uuid4()
    sealed = vault.encrypt(secret, user_id=user_id, provider=provider, row_id=row_id)
    values = {"key_id": sealed.key_id, "nonce": sealed.nonce, "ciphertext": sealed.ciphertext, "last4": secret[-4:]}
    row = insert(ProviderKey).values(id=row_id, user_id=user_id, provider=provider, **values)
    # Of two first keys at once the later one takes the row over, id and all: its ciphertext is bound to that id.
    replaced = row.on_conflict_do_update(
        index_elements=[ProviderKey.user_id, ProviderKey.provider],
        set_={"id": row_id, **values, "updated_at": func.now()},
    )
    return session.scalars(replaced.returning(ProviderKey), execution_options={"populate_existing": True}).one()


def list_owned(session: Session, user_id: UUID) -> Sequence[ProviderKey]:
    """A user's keys, of which only `last4` and the dates may be shown."""
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


def secret_for(session: Session, user_id: UUID, provider: Provider, *, vault: Vault) -> str | None:
    """The key itself, for a call that is about to be made; None when the user stored none.

    Raises `SecretUnreadable` when the key that it was encrypted with is gone.
    """
    row = session.scalar(select(ProviderKey).where(ProviderKey.user_id == user_id, ProviderKey.provider == provider))
    if row is None:
        return None
    sealed = Sealed(row.key_id, row.nonce, row.ciphertext)
    return vault.decrypt(sealed, user_id=user_id, provider=provider, row_id=row.id)


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
