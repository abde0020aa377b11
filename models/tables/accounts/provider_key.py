"""Users' own keys for AI providers, encrypted before they are stored. Only `last4` may be shown."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Record, UpdatedAtMixin, UtcTime, enum_column
from models.rules.prices.pricing import Provider


class KeyStatus(StrEnum):
    """The result of the last test of a key with its provider."""

    TESTING = "testing"  # a worker tests it soon
    VALID = "valid"
    INVALID = "invalid"
    UNREACHABLE = "unreachable"  # the provider did not say whether it accepts the key


class ProviderKey(UpdatedAtMixin, Record):
    """A user's key for a provider. Its ciphertext is bound to this row's id, user and provider."""

    __tablename__ = "provider_api_keys"
    __table_args__ = (
        UniqueConstraint("user_id", "provider"),
        Index("ix_provider_api_keys_testing", "updated_at", postgresql_where=text("status = 'testing'")),
        Index("ix_provider_api_keys_key_id", "key_id"),  # for finding the keys that a rotation has to seal again
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    provider: Mapped[Provider] = mapped_column(enum_column(Provider, "provider_known"))
    key_id: Mapped[str] = mapped_column(String(40))  # which of our encryption keys
    nonce: Mapped[bytes] = mapped_column(LargeBinary)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    last4: Mapped[str] = mapped_column(String(4))
    status: Mapped[KeyStatus] = mapped_column(
        enum_column(KeyStatus, "status_known"), default=KeyStatus.TESTING, server_default=KeyStatus.TESTING
    )
    tested_at: Mapped[UtcTime | None]
    last_used_at: Mapped[UtcTime | None]  # to the minute, so that not every call writes this row
    enqueued_at: Mapped[UtcTime | None]  # when a sweep last enqueued its test
