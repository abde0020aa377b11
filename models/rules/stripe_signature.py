"""Proves that a webhook's body was signed by Stripe, and lately.

Works on the raw bytes, because the same JSON written another way has another signature. Times are checked in both
directions: a signature from the future could otherwise be kept and replayed until that time has passed.
"""

import hashlib
import hmac
from collections.abc import Iterable

from models.errors import InvalidInput

TOLERANCE = 300  # seconds between Stripe's clock at signing and ours
_LONGEST_HEADER = 4096


class BadSignature(InvalidInput):
    """Whoever sent this cannot show that they are Stripe."""

    code = "bad_signature"


def verify(raw: bytes, header: str | None, secrets: Iterable[str], now: float, tolerance: int = TOLERANCE) -> None:
    """Accept `raw` only with a fresh signature made with one of the endpoint's secrets.

    Args:
        raw: the request's body as it came.
        header: the `Stripe-Signature` header: `t=<unix seconds>,v1=<hex>`, several `v1` while a secret is rolled.
        secrets: the endpoint's secrets, `whsec_...`; blank ones never match.
        now: unix seconds.
        tolerance: seconds, more than 0.

    Raises:
        BadSignature: saying what is wrong, never what would be right.
    """
    signed_at, signatures = _read(header)
    keys = [secret.strip().encode() for secret in secrets if secret.strip()]
    if not keys:
        raise BadSignature("There is no secret to check the signature with.")
    signed = b"%d." % signed_at + raw
    expected = [hmac.new(key, signed, hashlib.sha256).hexdigest().encode() for key in keys]
    # Every pair is compared, so that the time taken tells nothing.
    matches = [hmac.compare_digest(one, other) for one in expected for other in signatures]
    if not any(matches):
        raise BadSignature("The signature does not belong to this body.")
    if tolerance <= 0 or abs(now - signed_at) > tolerance:
        raise BadSignature("The signature's time is too far from now.")


def _read(header: str | None) -> tuple[int, list[bytes]]:
    """The time and the `v1` signatures in the header."""
    if not header or len(header) > _LONGEST_HEADER:
        raise BadSignature("The Stripe-Signature header is missing or too long.")
    fields = [field.strip().partition("=") for field in header.split(",")]
    times = [value for name, _, value in fields if name == "t"]
    signatures = [value.encode(errors="replace") for name, _, value in fields if name == "v1" and value]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit()) or len(times[0]) > 12 or not signatures:
        raise BadSignature("The Stripe-Signature header has no time or no signature.")
    return int(times[0]), signatures
