"""Verifies that a webhook's body was signed by Stripe, and recently.

It works on the raw bytes, because JSON that is written another way has another signature. Times are checked in both
directions, because a signature from the future could be kept and replayed until then.
"""

import hashlib
import hmac
from collections.abc import Iterable

from models.errors import InvalidInput

TOLERANCE = 300  # seconds between Stripe's clock at signing and ours
_MAX_HEADER_LENGTH = 4096


class BadSignature(InvalidInput):
    """The request is not signed by Stripe, or not recently."""

    code = "bad_signature"


def verify(raw: bytes, header: str | None, secrets: Iterable[str], now: float, tolerance: int = TOLERANCE) -> None:
    """Verify that `raw` has a recent signature by one of the endpoint's secrets.

    Args:
        raw: the body of the request, unchanged.
        header: the `Stripe-Signature` header: `t=<unix seconds>,v1=<hex>`, with several `v1` while a secret is rolled.
        secrets: the endpoint's secrets, `whsec_...`; blank ones never match.
        now: the current time in unix seconds.
        tolerance: seconds, more than 0.

    Raises:
        BadSignature: with a message that says what is wrong, but not the expected signature.
    """
    signed_at, signatures = _read(header)
    keys = [secret.strip().encode() for secret in secrets if secret.strip()]
    if not keys:
        raise BadSignature("No secret is configured to verify the signature.")
    signed = b"%d." % signed_at + raw
    expected = [hmac.new(key, signed, hashlib.sha256).hexdigest().encode() for key in keys]
    # Every pair is compared, so that the timing reveals nothing.
    matches = [hmac.compare_digest(one, other) for one in expected for other in signatures]
    if not any(matches):
        raise BadSignature("The signature does not match this body.")
    if tolerance <= 0 or abs(now - signed_at) > tolerance:
        raise BadSignature("The signature's time is too far from now.")


def _read(header: str | None) -> tuple[int, list[bytes]]:
    """The time and the `v1` signatures in the header."""
    if not header or len(header) > _MAX_HEADER_LENGTH:
        raise BadSignature("The Stripe-Signature header is missing or too long.")
    fields = [field.strip().partition("=") for field in header.split(",")]
    times = [value for name, _, value in fields if name == "t"]
    signatures = [value.encode(errors="replace") for name, _, value in fields if name == "v1" and value]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit()) or len(times[0]) > 12 or not signatures:
        raise BadSignature("The Stripe-Signature header has no time or no signature.")
    return int(times[0]), signatures
