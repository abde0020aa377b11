"""Users' own keys for AI providers, encrypted before they come here. Only `last4` may be shown to anybody."""

from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Changing, Record, words
from models.rules.pricing import Provider


class ProviderKey(Changing, Record):
    """One user's key for one provider. Its ciphertext is bound to this row's id, user and provider."""

    __tablename__ = "provider_api_keys"
    __table_args__ = (UniqueConstraint("user_id", "provider"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    provider: Mapped[Provider] = mapped_column(words(Provider, "provider_known"))
    key_id: Mapped[str] = mapped_column(String(40))  # which of our encryption keys
    nonce: Mapped[bytes] = mapped_column(LargeBinary)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    last4: Mapped[str] = mapped_column(String(4))
