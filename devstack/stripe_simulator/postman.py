"""Webhooks on their way: in the background, several at a time, with retries; and what goes wrong on the way."""

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

from devstack.stripe_simulator.signing import signed
from devstack.stripe_simulator.world import StripeObject

_THREADS = 8
_TIMEOUT = 10.0  # seconds for the receiver to answer
_LONGEST_WAIT = 60.0


@dataclass
class Rule:
    """What shall happen to the next `times` webhooks of these types (all types if there are none)."""

    action: str  # drop, lose, duplicate, delay, tamper
    times: int = 1
    types: tuple[str, ...] = ()
    seconds: float = 0.0
    tampering: str | None = None


@dataclass
class Chaos:
    """Misfortune by chance, the same for the same seed and order of events."""

    drop: float = 0.0
    duplicate: float = 0.0
    max_delay: float = 0.0
    seed: int = 0
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)


@dataclass
class Letter:
    """One webhook that is to be delivered."""

    event: StripeObject
    attempt: int = 1
    tampering: str | None = None


class Postman:
    """Delivers events to one address. Stripe promises no order, and neither does this: eight carriers run at once."""

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
        """Forget all letters and mischief."""
        with self._changed:
            self.holding = False
            self.held: list[StripeObject] = []
            self.rules: list[Rule] = []
            self.chaos = Chaos()
            self.log: list[dict[str, Any]] = []
            self._queue: list[tuple[float, int, list[Letter]]] = []
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
        """Send a new event, or hold it; never blocks."""
        if not self.url:
            return
        with self._changed:
            if self.holding:
                self.held.append(event)
            else:
                self._send_with_luck(event)

    def send_all(self, events: Sequence[StripeObject]) -> None:
        """Send these one after the other, in this order."""
        with self._changed:
            self._put(0.0, [Letter(event) for event in events])

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is on its way or waits for a retry; false if that takes too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._busy, timeout)

    def send_now(self, event: StripeObject, tampering: str | None = None) -> int:
        """Send it once, at once; the receiver's HTTP status, 0 if there was none."""
        return self._post(Letter(event, tampering=tampering))

    def _send_with_luck(self, event: StripeObject) -> None:
        rule = next((one for one in self.rules if one.times and _concerns(one, event)), None)
        action = rule.action if rule else ""
        if rule:
            rule.times -= 1
        luck = self.chaos
        if action == "lose":
            event["pending_webhooks"] = 0  # Stripe believes that it was received
        if action in ("drop", "lose") or luck.dice.random() < luck.drop:
            self._note(Letter(event), "dropped")
            return
        delay = rule.seconds if rule and action == "delay" else luck.dice.uniform(0, luck.max_delay)
        tampering = rule.tampering if rule and action == "tamper" else None
        copies = 2 if action == "duplicate" or luck.dice.random() < luck.duplicate else 1
        for _ in range(copies):
            self._put(delay, [Letter(event, tampering=tampering)])
            delay += luck.dice.uniform(0, luck.max_delay)

    def _put(self, delay: float, letters: list[Letter]) -> None:
        heapq.heappush(self._queue, (time.monotonic() + delay, next(self._sequence), letters))
        self._changed.notify_all()

    def _carry(self) -> None:
        while (letters := self._take()) is not None:
            for letter in letters:
                status = self._post(letter)
                if not 200 <= status < 300 and letter.attempt < self.max_attempts and not letter.tampering:
                    wait = min(self.retry_base * 2 ** (letter.attempt - 1), _LONGEST_WAIT)
                    with self._changed:
                        self._put(wait, [Letter(letter.event, letter.attempt + 1)])
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _take(self) -> list[Letter] | None:
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                if self._queue and self._queue[0][0] <= now:
                    self._busy += 1
                    return heapq.heappop(self._queue)[2]
                self._changed.wait(self._queue[0][0] - now if self._queue else None)
        return None

    def _post(self, letter: Letter) -> int:
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

    def _note(self, letter: Letter, result: str) -> None:
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


def _concerns(rule: Rule, event: StripeObject) -> bool:
    return not rule.types or event["type"] in rule.types
