"""Keeps users' secrets: AES-256-GCM with named keys. A sealed secret opens only in the place it was sealed for.

The key ring is a list of `id:base64 of 32 bytes`; the first key encrypts, all of them decrypt, so a key is rotated by
putting a new one in front and sealing again whatever was not sealed with it (`python -m tasks.rotate_keys`). Nothing
here prints a key or a plaintext.
"""

import base64
import binascii
import json
import os
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from models.errors import ForgeError

FORMAT_VERSION = 1  # of the associated data; a new layout gets a new number
NONCE_BYTES = 12  # 96 bits, fresh for every secret


class SecretUnreadable(ForgeError):
    """A stored secret cannot be opened: its key is gone, or it was sealed for another place."""

    code = "secret_unreadable"


@dataclass(frozen=True)
class Sealed:
    """An encrypted secret as it is stored: which key, the nonce, and the ciphertext with its tag."""

    key_id: str
    nonce: bytes
    ciphertext: bytes


class Vault:
    """Seals and opens secrets with the keys of one ring; raises `ValueError` for a ring that cannot be used."""

    def __init__(self, keyring: str) -> None:
        self._keys = _parse(keyring)
        self._current = next(iter(self._keys))

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return self._current

    def __repr__(self) -> str:
        return f"Vault(key_ids={list(self._keys)})"

    def encrypt(self, plaintext: str, *, user_id: UUID | str, provider: str, row_id: UUID | str) -> Sealed:
        """Seal `plaintext` with the first key for this row, and no other."""
        nonce = os.urandom(NONCE_BYTES)
        place = _associated(user_id, provider, row_id)
        return Sealed(self._current, nonce, self._keys[self._current].encrypt(nonce, plaintext.encode(), place))

    def decrypt(self, sealed: Sealed, *, user_id: UUID | str, provider: str, row_id: UUID | str) -> str:
        """Open what was sealed for this row; raises `SecretUnreadable`, which never contains a secret."""
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise SecretUnreadable("The key that this secret was stored with is not in use any more; store it again.")
        try:
            plain = key.decrypt(sealed.nonce, sealed.ciphertext, _associated(user_id, provider, row_id))
        except (InvalidTag, ValueError):
            raise SecretUnreadable("This secret was stored for another place or was changed; store it again.") from None
        return plain.decode()


def _associated(user_id: UUID | str, provider: str, row_id: UUID | str) -> bytes:
    """The place of a secret in bytes that two places never share, whatever characters their parts have."""
    return json.dumps([FORMAT_VERSION, str(user_id), str(provider), str(row_id)]).encode()


def _parse(keyring: str) -> dict[str, AESGCM]:
    keys: dict[str, AESGCM] = {}
    for number, entry in enumerate(keyring.split(","), start=1):
        key_id, _, encoded = entry.strip().partition(":")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not key_id or len(raw) != 32 or key_id in keys:
            raise ValueError(f"entry {number} of the key ring is not a new id and 32 bytes in base64")
        keys[key_id] = AESGCM(raw)
    return keys
