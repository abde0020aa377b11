"""Users' own keys for AI providers, encrypted before they come here. Only `last4` may be shown to anybody."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Changing, Record, UtcTime, words
from models.rules.pricing import Provider


class KeyStatus(StrEnum):
    """What the provider said of a key when it was asked last."""

    TESTING = "testing"  # a worker will ask soon
    VALID = "valid"
    INVALID = "invalid"
    UNREACHABLE = "unreachable"  # the provider gave no answer that says either


class ProviderKey(Changing, Record):
    """One user's key for one provider. Its ciphertext is bound to this row's id, user and provider."""

    __tablename__ = "provider_api_keys"
    __table_args__ = (
        UniqueConstraint("user_id", "provider"),
        Index("ix_provider_api_keys_testing", "updated_at", postgresql_where=text("status = 'testing'")),
        Index("ix_provider_api_keys_key_id", "key_id"),  # which ones a rotation still has to seal again
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    provider: Mapped[Provider] = mapped_column(words(Provider, "provider_known"))
    key_id: Mapped[str] = mapped_column(String(40))  # which of our encryption keys
    nonce: Mapped[bytes] = mapped_column(LargeBinary)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    last4: Mapped[str] = mapped_column(String(4))
    status: Mapped[KeyStatus] = mapped_column(
        words(KeyStatus, "status_known"), default=KeyStatus.TESTING, server_default=KeyStatus.TESTING
    )
    tested_at: Mapped[UtcTime | None]
    last_used_at: Mapped[UtcTime | None]  # to the minute: not every call writes here
    rung_at: Mapped[UtcTime | None]  # the last doorbell that a sweep rang for its test
