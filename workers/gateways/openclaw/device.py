"""The device identity for a gateway on another host: an Ed25519 key that the gateway's operator approves once."""

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


@dataclass(frozen=True)
class ClientIdentity:
    """The client's description in the handshake; the signature covers it besides the challenge."""

    client_id: str
    mode: str
    role: str
    scopes: tuple[str, ...]
    platform: str
    device_family: str = ""


@dataclass(frozen=True)
class Device:
    """A key pair; `id` is the SHA-256 of the raw public key in hex."""

    id: str
    public_key: str  # base64url without padding
    private_key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_key(cls, key: Ed25519PrivateKey) -> "Device":
        """Derive the identity from a key."""
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return cls(hashlib.sha256(raw).hexdigest(), _base64url(raw), key)

    @classmethod
    def load(cls, path: str) -> "Device":
        """Read an unencrypted PEM file; raises `OSError` or `ValueError`."""
        key = load_pem_private_key(Path(path).read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("OPENCLAW_DEVICE_KEY is not an Ed25519 key")
        return cls.from_key(key)

    def sign(self, caller: ClientIdentity, *, nonce: str, signed_at: int, token: str) -> dict[str, Any]:
        """The `device` part of the handshake; `signed_at` is the challenge's time in milliseconds."""
        text = signed_text(self.id, caller, nonce=nonce, signed_at=signed_at, token=token)
        return {
            "id": self.id,
            "publicKey": self.public_key,
            "signature": _base64url(self.private_key.sign(text.encode())),
            "signedAt": signed_at,
            "nonce": nonce,
        }


def signed_text(device_id: str, caller: ClientIdentity, *, nonce: str, signed_at: int, token: str) -> str:
    """The text that the device signs, in the gateway's third version of it."""
    return "|".join(
        (
            "v3",
            device_id,
            caller.client_id,
            caller.mode,
            caller.role,
            ",".join(caller.scopes),
            str(signed_at),
            token,
            nonce,
            caller.platform.strip().lower(),
            caller.device_family.strip().lower(),
        )
    )


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
