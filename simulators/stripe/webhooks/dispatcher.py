"""Delivery of webhooks: in the background, several at a time, with retries and injected faults."""

import heapq
import itertools
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from simulators.stripe.state.account_state import StripeObject
from simulators.stripe.webhooks.signing import signed

_THREADS = 8
_TIMEOUT = 10.0  # seconds for the receiver's response
_MAX_WAIT = 60.0


@dataclass
class DeliveryRule:
    """A fault for the next `times` webhooks of these types (all types if empty)."""

    action: str  # drop, lose, duplicate, delay, tamper
    times: int = 1
    types: tuple[str, ...] = ()
    seconds: float = 0.0
    tampering: str | None = None


@dataclass
class Chaos:
    """Random faults, reproducible by seed and order of events."""

    drop: float = 0.0
    duplicate: float = 0.0
    max_delay: float = 0.0
    seed: int = 0
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)


@dataclass
class Delivery:
    """One webhook to deliver."""

    event: StripeObject
    attempt: int = 1
    tampering: str | None = None


class WebhookDispatcher:
    """Delivers events to one address, in no guaranteed order, like Stripe: eight threads run at once."""

    def __init__(self) -> None:
        self.url = ""
        self.secrets: tuple[str, ...] = ()
        self.retry_base = 0.5  # seconds before the second attempt; doubled for each further one
        self.max_attempts = 12
        self._changed = threading.Condition()
        self._sequence = itertools.count()
        self._stopped = False
        self.clear()
        self._threads = [threading.Thread(target=self._carry, daemon=True) for _ in range(_THREADS)]

    def clear(self) -> None:
        """Forget all deliveries and faults."""
        with self._changed:
            self.holding = False
            self.held: list[StripeObject] = []
            self.rules: list[DeliveryRule] = []
            self.chaos = Chaos()
            self.log: list[dict[str, Any]] = []
            self._queue: list[tuple[float, int, list[Delivery]]] = []
            self._busy = 0

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_TIMEOUT + 1)

    # Sending ---------------------------------------------------------------------------------

    def publish(self, event: StripeObject) -> None:
        """Deliver a new event, or hold it; never blocks."""
        if not self.url:
            return
        with self._changed:
            if self.holding:
                self.held.append(event)
            else:
                self._send_with_luck(event)

    def send_all(self, events: Sequence[StripeObject]) -> None:
        """Deliver these one after the other, in this order."""
        with self._changed:
            self._put(0.0, [Delivery(event) for event in events])

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is in delivery or waits for a retry; False if that takes too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._busy, timeout)

    def send_now(self, event: StripeObject, tampering: str | None = None) -> int:
        """Deliver it once, at once; return the receiver's HTTP status, 0 without a response."""
        return self._post(Delivery(event, tampering=tampering))

    def _send_with_luck(self, event: StripeObject) -> None:
        rule = next((one for one in self.rules if one.times and _concerns(one, event)), None)
        action = rule.action if rule else ""
        if rule:
            rule.times -= 1
        luck = self.chaos
        if action == "lose":
            event["pending_webhooks"] = 0  # Stripe counts it as received
        if action in ("drop", "lose") or luck.dice.random() < luck.drop:
            self._note(Delivery(event), "dropped")
            return
        delay = rule.seconds if rule and action == "delay" else luck.dice.uniform(0, luck.max_delay)
        tampering = rule.tampering if rule and action == "tamper" else None
        copies = 2 if action == "duplicate" or luck.dice.random() < luck.duplicate else 1
        for _ in range(copies):
            self._put(delay, [Delivery(event, tampering=tampering)])
            delay += luck.dice.uniform(0, luck.max_delay)

    def _put(self, delay: float, letters: list[Delivery]) -> None:
        heapq.heappush(self._queue, (time.monotonic() + delay, next(self._sequence), letters))
        self._changed.notify_all()

    def _carry(self) -> None:
        while (letters := self._take()) is not None:
            for letter in letters:
                status = self._post(letter)
                if not 200 <= status < 300 and letter.attempt < self.max_attempts and not letter.tampering:
                    wait = min(self.retry_base * 2 ** (letter.attempt - 1), _MAX_WAIT)
                    with self._changed:
                        self._put(wait, [Delivery(letter.event, letter.attempt + 1)])
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _take(self) -> list[Delivery] | None:
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                if self._queue and self._queue[0][0] <= now:
                    self._busy += 1
                    return heapq.heappop(self._queue)[2]
                self._changed.wait(self._queue[0][0] - now if self._queue else None)
        return None

    def _post(self, letter: Delivery) -> int:
        body, signature = signed(letter.event, self.secrets, int(time.time()), letter.tampering)
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Stripe/1.0 (simulator)"}
        if signature is not None:
            headers["Stripe-Signature"] = signature
        address = urlsplit(self.url)
        connection = HTTPConnection(address.hostname or "", address.port or 80, timeout=_TIMEOUT)
        try:
            connection.request("POST", address.path or "/", body, headers)
            response = connection.getresponse()
            response.read()
            status = response.status
        except (OSError, HTTPException):
            status = 0
        finally:
            connection.close()
        if 200 <= status < 300:
            letter.event["pending_webhooks"] = 0
        self._note(letter, str(status))
        return status

    def _note(self, letter: Delivery, result: str) -> None:
        with self._changed:
            self.log.append(
                {
                    "event": letter.event["id"],
                    "type": letter.event["type"],
                    "attempt": letter.attempt,
                    "tampering": letter.tampering,
                    "result": result,
                }
            )


def _concerns(rule: DeliveryRule, event: StripeObject) -> bool:
    return not rule.types or event["type"] in rule.types
