"""Idempotency keys: the first response is the response to every later call with the same key."""

import threading
from dataclasses import dataclass, field

from simulators.stripe.state.errors import StripeError, bad_parameter, key_in_use, key_reused

KEPT = 24 * 3600  # seconds


@dataclass
class StoredResponse:
    """An HTTP response."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    request_id: str = ""


@dataclass
class _StoredKey:
    fingerprint: str
    at: int
    answer: StoredResponse | None = None


class IdempotencyKeys:
    """The keys of one account."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, _StoredKey] = {}

    def begin(self, key: str, fingerprint: str, now: int) -> StoredResponse | None:
        """Claim `key` for a call with these parameters; return the stored response if there is one."""
        if len(key) > 255:
            raise bad_parameter("Idempotency keys can have up to 255 characters.", "idempotency_key", "invalid_key")
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.at < now - KEPT:
                self._entries[key] = _StoredKey(fingerprint, now)
                return None
            if entry.fingerprint != fingerprint:
                raise key_reused(key)
            if entry.answer is None:
                error: StripeError = key_in_use(key)
                raise error
            return entry.answer

    def keep(self, key: str, answer: StoredResponse) -> None:
        """Store the response to the call that claimed `key`."""
        with self._lock:
            if key in self._entries:
                self._entries[key].answer = answer

    def release(self, key: str) -> None:
        """Release the key of a call that did not begin."""
        with self._lock:
            self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget all keys, as Stripe may after a day."""
        with self._lock:
            self._entries.clear()
