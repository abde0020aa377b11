"""Encrypts users' secrets by AES-256-GCM with named keys. A sealed secret opens only for the row it was sealed for.

The key ring is a list of `id:base64 of 32 bytes`; the first key encrypts and all of them decrypt. To rotate, put a new
key first and seal the secrets of older keys again: `python -m manage keys rotate`. Neither errors nor reprs
contain a key or a plaintext.
"""

import base64
import binascii
import hashlib
import hmac
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
    """A stored secret cannot be opened: its key was removed, or it was sealed for another row."""

    code = "secret_unreadable"


@dataclass(frozen=True)
class Sealed:
    """An encrypted secret as it is stored: the id of its key, the nonce, and the ciphertext with its tag."""

    key_id: str
    nonce: bytes
    ciphertext: bytes


class Vault:
    """Seals and opens secrets with the keys of one ring; raises `ValueError` for a ring that cannot be used."""

    def __init__(self, keyring: str) -> None:
        self._raw = _parse(keyring)
        self._keys = {key_id: AESGCM(raw) for key_id, raw in self._raw.items()}
        self._current = next(iter(self._keys))

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return self._current

    def __repr__(self) -> str:
        return f"Vault(key_ids={list(self._keys)})"

    def encrypt(self, plaintext: str, *, user_id: UUID | str, provider: str, row_id: UUID | str) -> Sealed:
        """Seal `plaintext` with the first key, for this row only."""
        nonce = os.urandom(NONCE_BYTES)
        context = _associated(user_id, provider, row_id)
        return Sealed(self._current, nonce, self._keys[self._current].encrypt(nonce, plaintext.encode(), context))

    def decrypt(self, sealed: Sealed, *, user_id: UUID | str, provider: str, row_id: UUID | str) -> str:
        """Open a secret that was sealed for this row; raises `SecretUnreadable`, which never contains a secret."""
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise SecretUnreadable("The encryption key of this secret is not in use any more; store the secret again.")
        try:
            plain = key.decrypt(sealed.nonce, sealed.ciphertext, _associated(user_id, provider, row_id))
        except (InvalidTag, ValueError):
            raise SecretUnreadable(
                "This secret belongs to another row or was changed; store the secret again."
            ) from None
        return plain.decode()

    def fingerprints(self, value: str, *, purpose: str) -> list[bytes]:
        """Keyed hashes of `value` for comparisons, one by each key of the ring, that of the current key first.

        Stored hashes by a key that was removed from the ring do not match any more.
        """
        return [hmac.digest(key, value.encode(), hashlib.sha256) for key in self._hash_keys(purpose)]

    def _hash_keys(self, purpose: str) -> list[bytes]:
        return [hmac.digest(raw, b"fingerprint:" + purpose.encode(), hashlib.sha256) for raw in self._raw.values()]


def _associated(user_id: UUID | str, provider: str, row_id: UUID | str) -> bytes:
    """The associated data that binds a secret to its row; as JSON it is unambiguous for any characters."""
    return json.dumps([FORMAT_VERSION, str(user_id), str(provider), str(row_id)]).encode()


def _parse(keyring: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for number, entry in enumerate(keyring.split(","), start=1):
        key_id, _, encoded = entry.strip().partition(":")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not key_id or len(raw) != 32 or key_id in keys:
            raise ValueError(f"entry {number} of the key ring is not a new id and 32 bytes in base64")
        keys[key_id] = raw
    return keys
