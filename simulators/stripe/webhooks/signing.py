"""Signed webhook requests, and all kinds of wrong ones that a receiver must refuse or survive."""

import hashlib
import hmac
import json
from collections.abc import Sequence

from simulators.stripe.state.account_state import StripeObject

_DAY = 24 * 3600
Signed = tuple[bytes, str | None]  # body and Stripe-Signature

TAMPERINGS = (
    "body",  # an amount changed after signing
    "signature",  # a wrong digest
    "secret",  # signed with another secret
    "missing",  # no signature at all
    "scheme",  # a v0 signature only
    "old",  # signed yesterday
    "future",  # signed tomorrow
    "reserialized",  # the same JSON in other bytes than were signed
    # The rest is signed correctly:
    "not_json",
    "not_utf8",
    "list",  # JSON, but no object
    "thin",  # an event of API v2
    "oversized",  # 2 MiB
    "livemode",
    "api_version",
    "unknown_type",
)


def header(body: bytes, secrets: Sequence[str], timestamp: int) -> str:
    """The `Stripe-Signature` with one v1 signature for each secret, as while a secret is rolled."""
    digests = [
        hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest() for secret in secrets
    ]
    return ",".join([f"t={timestamp}", *(f"v1={digest}" for digest in digests)])


def encode(event: StripeObject | list[StripeObject]) -> bytes:
    """The bytes that Stripe sends: indented JSON."""
    return json.dumps(event, indent=2, ensure_ascii=False).encode()


def signed(event: StripeObject, secrets: Sequence[str], timestamp: int, tampering: str | None = None) -> Signed:
    """The body and signature of a request for `event`, correct or tampered with."""
    body = encode(event)
    if tampering is None:
        return body, header(body, secrets, timestamp)
    if tampering in ("old", "future"):
        return body, header(body, secrets, timestamp + (_DAY if tampering == "future" else -_DAY))
    if tampering == "secret":
        return body, header(body, ["whsec_of_somebody_else"], timestamp)
    if tampering == "missing":
        return body, None
    right = header(body, secrets, timestamp)
    if tampering == "signature":
        return body, f"t={timestamp},v1={'0' * 64}"
    if tampering == "scheme":
        return body, right.replace("v1=", "v0=")
    if tampering == "reserialized":
        return json.dumps(event).encode(), right
    if tampering == "body":
        return body.replace(b'"object": "event"', b'"object": "event", "tampered": 999999', 1), right
    wrong = _odd(event, tampering)
    return wrong, header(wrong, secrets, timestamp)


def _odd(event: StripeObject, tampering: str) -> bytes:
    """A tampered body."""
    match tampering:
        case "not_json":
            return b"hello"
        case "not_utf8":
            return b'{"id": "\xff"}'
        case "list":
            return encode([event])
        case "thin":
            return encode({"id": event["id"], "object": "v2.core.event", "type": "v1.billing.meter.no_meter_found"})
        case "oversized":
            return encode(event | {"padding": "x" * 2**21})
        case "livemode":
            return encode(event | {"livemode": not event["livemode"]})
        case "api_version":
            return encode(event | {"api_version": "2024-06-20"})
        case "unknown_type":
            return encode(event | {"type": "agentforge.never.heard_of"})
    raise ValueError(f"unknown tampering {tampering}; there are {', '.join(TAMPERINGS)}")
