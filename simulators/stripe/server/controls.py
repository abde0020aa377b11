"""The controls of the simulator, for tests and over HTTP.

Each public method of `Controls` is also `POST /_control/<its name>` with its arguments as a JSON object.
"""

import inspect
import random
from copy import deepcopy
from typing import Any

from simulators.stripe.payments import payment_intents, payments
from simulators.stripe.server.account import Account
from simulators.stripe.server.operator_controls import OperatorControls
from simulators.stripe.state.account_state import StripeObject
from simulators.stripe.state.errors import StripeError
from simulators.stripe.state.faults import InjectedFault
from simulators.stripe.webhooks.dispatcher import Chaos, DeliveryRule
from simulators.stripe.webhooks.signing import TAMPERINGS


class WebhookControls:
    """Controls of webhooks."""

    account: Account

    def set_webhook(self, url: str, secrets: list[str] | str) -> None:
        """Send webhooks to `url`, signed with each of these secrets."""
        postman = self.account.dispatcher
        postman.secrets = (secrets,) if isinstance(secrets, str) else tuple(secrets)
        postman.url = url

    def set_retries(self, base: float, max_attempts: int = 12) -> None:
        """Retry a refused webhook after `base` seconds, then after twice that, and so on."""
        self.account.dispatcher.retry_base, self.account.dispatcher.max_attempts = base, max_attempts

    def hold_webhooks(self) -> None:
        """Hold webhooks back until `release_webhooks`."""
        self.account.dispatcher.holding = True

    def held_webhooks(self) -> list[StripeObject]:
        """The events held back, in order of occurrence."""
        return list(self.account.dispatcher.held)

    def release_webhooks(
        self, order: str = "in_order", *, seed: int = 0, copies: int = 1, keep_holding: bool = False
    ) -> list[str]:
        """Send held webhooks one by one, `in_order`, `reversed` or `shuffled`; return the ids in that order."""
        postman = self.account.dispatcher
        events, postman.held = postman.held * copies, []
        if order == "reversed":
            events = events[::-1]
        elif order == "shuffled":
            random.Random(seed).shuffle(events)
        elif order != "in_order":
            raise ValueError(f"no order is {order}")
        postman.holding = keep_holding
        postman.send_all(events)
        return [event["id"] for event in events]

    def forget_held_webhooks(self) -> None:
        """Drop held webhooks, and deliver new ones."""
        self.account.dispatcher.held, self.account.dispatcher.holding = [], False

    def drop_webhooks(self, times: int = 1, types: list[str] | None = None, *, acknowledged: bool = False) -> None:
        """Never deliver the next ones; `acknowledged` ones count as delivered for Stripe."""
        self._rule("lose" if acknowledged else "drop", times, types)

    def duplicate_webhooks(self, times: int = 1, types: list[str] | None = None) -> None:
        """Deliver the next ones twice, at the same time."""
        self._rule("duplicate", times, types)

    def delay_webhooks(self, seconds: float, times: int = 1, types: list[str] | None = None) -> None:
        """Deliver the next ones late."""
        self._rule("delay", times, types, seconds=seconds)

    def tamper_webhooks(self, how: str, times: int = 1, types: list[str] | None = None) -> None:
        """Corrupt the next ones; `how` is one of `signing.TAMPERINGS`. They are not retried."""
        if how not in TAMPERINGS:
            raise ValueError(f"unknown tampering {how}; there are {', '.join(TAMPERINGS)}")
        self._rule("tamper", times, types, tampering=how)

    def set_chaos(self, drop: float = 0.0, duplicate: float = 0.0, max_delay: float = 0.0, seed: int = 0) -> None:
        """Lose and duplicate webhooks with these probabilities, and delay each by up to `max_delay` seconds."""
        self.account.dispatcher.chaos = Chaos(drop, duplicate, max_delay, seed)

    def redeliver(self, event_id: str, how: str | None = None) -> int:
        """Send one event once, now, tampered by `how`; return the receiver's status, 0 without a response."""
        return self.account.dispatcher.send_now(self.account.state.get("event", event_id), how)

    def wait_for_webhooks(self, timeout: float = 10.0) -> bool:
        """Wait until no webhook is in delivery or waits for a retry; False if that takes longer."""
        return self.account.dispatcher.wait(timeout)

    def deliveries(self) -> list[dict[str, Any]]:
        """Every attempt: `{event, type, attempt, tampering, result}`; the result is a status, 0 or `dropped`."""
        return list(self.account.dispatcher.log)

    def emit_event(self, type: str, about: StripeObject | str) -> StripeObject:
        """Create an event of any type about an object, given by itself or by its id."""
        world = self.account.state
        with world.lock:
            found = world.find(about) if isinstance(about, str) else about
            if found is None:
                raise LookupError(f"there is no {about}")
            return deepcopy(world.emit(type, found))

    def _rule(self, action: str, times: int, types: list[str] | None, **more: Any) -> None:
        self.account.dispatcher.rules.append(DeliveryRule(action, times, tuple(types or ()), **more))


class PaymentControls:
    """Controls of the app and its user."""

    account: Account

    def pay_intent(self, intent: str, payment_method: str = "pm_card_visa") -> StripeObject:
        """Confirm an intent as the app does with its client secret (or id); return it, paid or not."""
        world = self.account.state
        intent_id = intent.partition("_secret_")[0]
        with world.lock:
            try:
                payment_intents.confirm(world, {"payment_method": payment_method}, intent_id, from_app=True)
            except StripeError as error:
                if error.status != 402:
                    raise
            return deepcopy(world.get("payment_intent", intent_id))

    def complete_3ds(self, intent: str) -> StripeObject:
        """Let the user pass 3-D Secure."""
        world = self.account.state
        with world.lock:
            found = world.get("payment_intent", intent.partition("_secret_")[0])
            if found["status"] != "requires_action":
                raise payments.unexpected(found, "complete")
            payments.settle(world, found, None)
            return deepcopy(found)

    def fail_3ds(self, intent: str) -> StripeObject:
        """Let the user fail 3-D Secure."""
        world = self.account.state
        with world.lock:
            found = world.get("payment_intent", intent.partition("_secret_")[0])
            payments.fail_authentication(world, found)
            return deepcopy(found)

    def keep_processing(self, on: bool = True) -> None:
        """Keep payments in `processing`, until `settle_processing`."""
        self.account.state.keep_processing = on

    def settle_processing(self, intent: str, *, succeeds: bool = True) -> StripeObject:
        """Decide a `processing` payment, as the bank does later."""
        world = self.account.state
        with world.lock:
            found = world.get("payment_intent", intent)
            if found["status"] != "processing":
                raise payments.unexpected(found, "settle")
            try:
                payments.settle(world, found, None if succeeds else ("card_declined", "generic_decline"))
            except StripeError as error:
                if error.status != 402:
                    raise
            return deepcopy(found)


class Controls(WebhookControls, PaymentControls, OperatorControls):
    """All controls of one account."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Call the control with this name."""
        method = None if name.startswith("_") or name == "call" else getattr(self, name, None)
        if not inspect.ismethod(method):
            raise LookupError(f"there is no control {name}")
        return method(**arguments)

    # Faults ----------------------------------------------------------------------------------

    def fail_next(
        self, method: str, path: str, kind: str, *, when: str = "before", times: int = 1, seconds: float = 30.0
    ) -> None:
        """Let the next calls fail: `timeout`, `reset`, `403`, `429`, `500`, `503` or `slow` (responds after `seconds`).

        `path` may contain `*`. `when` may be `after` the effect for timeout, reset and 500. A 500 is stored under the
        idempotency key in both cases; a slow call keeps its key in use (409 for others) meanwhile.
        """
        self.account.faults.add(InjectedFault(method, path, kind, when, times, seconds))

    def stop_failing(self) -> None:
        """Remove pending faults."""
        self.account.faults.clear()

    def forget_idempotency_keys(self) -> None:
        """Forget all idempotency keys, as Stripe may after a day."""
        self.account.keys.clear()

    # State -----------------------------------------------------------------------------------

    def now(self) -> int:
        """The clock's time in seconds since 1970."""
        return self.account.state.now()

    def advance_clock(self, seconds: float = 0, *, hours: float = 0, days: float = 0) -> int:
        """Move the clock forward, do everything that becomes due in order, and return the new time."""
        self.account.state.advance(int(seconds + hours * 3600 + days * 86400))
        return self.account.state.now()

    def objects(self, kind: str) -> list[StripeObject]:
        """All objects of a kind such as `payment_intent`, oldest first."""
        with self.account.state.lock:
            return deepcopy(self.account.state.all(kind))

    def get(self, object_id: str) -> StripeObject:
        """The object with this id."""
        with self.account.state.lock:
            found = self.account.state.find(object_id)
            if found is None:
                raise LookupError(f"there is no {object_id}")
            return deepcopy(found)

    def change(self, object_id: str, **fields: Any) -> StripeObject:
        """Overwrite fields of an object, without checks and events."""
        with self.account.state.lock:
            found = self.account.state.find(object_id)
            if found is None:
                raise LookupError(f"there is no {object_id}")
            found |= fields
            return deepcopy(found)

    def calls(self, start: str = "") -> list[str]:
        """The API calls so far that begin with `start`, such as `POST /v1/payment_intents`."""
        return [call for call in self.account.calls if call.startswith(start)]

    def reset(self) -> None:
        """Forget everything except the keys and the webhook's address."""
        with self.account.state.lock:
            self.account.state.clear()
            self.account.keys.clear()
            self.account.faults.clear()
            self.account.calls.clear()
            self.account.dispatcher.clear()
