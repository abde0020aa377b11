"""One simulated Stripe account: from a request to its response, independent of the transport."""

import base64
import binascii
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from simulators.stripe.payments import payment_intents
from simulators.stripe.server.wiring import new_state
from simulators.stripe.state import parameters, routing
from simulators.stripe.state.account_state import API_VERSION, AccountState
from simulators.stripe.state.errors import StripeError, invalid, server_error, unauthorized
from simulators.stripe.state.faults import Cut, Faults, InjectedFault
from simulators.stripe.state.idempotency import IdempotencyKeys, StoredResponse
from simulators.stripe.state.paging import expanded
from simulators.stripe.state.parameters import Params
from simulators.stripe.state.routing import Route
from simulators.stripe.webhooks.dispatcher import WebhookDispatcher

_APPS_MAY_SEND = ("client_secret", "key", "use_stripe_sdk", "expected_payment_method_type")


@dataclass(frozen=True)
class RecordedCall:
    """A request to the API."""

    method: str
    path: str
    form: str
    headers: Mapping[str, str]


class Account:
    """The API of one account, with its keys."""

    def __init__(self, secret_key: str) -> None:
        self.secret_key = secret_key
        self.publishable_key = "pk_test_" + hashlib.sha256(secret_key.encode()).hexdigest()[:24]
        self.dispatcher = WebhookDispatcher()
        self.state = new_state(self.dispatcher.publish)
        self.faults = Faults()
        self.keys = IdempotencyKeys()
        self.calls: list[str] = []

    def answer(self, call: RecordedCall) -> StoredResponse:
        """Handle one request; raises `Cut` to end the connection without a response."""
        request_id = f"req_{secrets.token_hex(7)}"
        self.calls.append(f"{call.method} {call.path}")
        key = call.headers.get("Idempotency-Key") if call.method == "POST" else None
        try:
            answer = self._guarded(call, key, request_id)
        except StripeError as error:
            answer = refusal(error)
        answer.headers |= {"Request-Id": request_id, "Stripe-Version": API_VERSION}
        if key:
            answer.headers["Idempotency-Key"] = key
        return answer

    def _guarded(self, call: RecordedCall, key: str | None, request_id: str) -> StoredResponse:
        params = parameters.decode(call.form)
        from_app = self._authenticate(call, params)
        _check_version(call.headers.get("Stripe-Version"))
        found = routing.find(call.method, call.path)
        if found is None:
            message = f"Unrecognized request URL ({call.method}: {call.path})."
            raise StripeError(404, message, stored=False)
        route, ids = found
        fault = self.faults.take(call.method, call.path)
        if fault and fault.when == "before" and fault.kind not in ("500", "slow"):
            _meet(fault)
        work = _Work(self, route, ids, params, from_app, fault, request_id, key)
        if key is None:
            return work.do()
        fingerprint = f"{call.method} {call.path} {json.dumps(params, sort_keys=True)}"
        stored = self.keys.begin(key, fingerprint, self.state.now())
        if stored is not None:
            headers = stored.headers | {"Original-Request": stored.request_id, "Idempotent-Replayed": "true"}
            return StoredResponse(stored.status, stored.body, headers, stored.request_id)
        return work.do()

    def _authenticate(self, call: RecordedCall, params: Params) -> bool:
        """Whether the caller uses the publishable key, as apps do; raises 401 for unknown keys."""
        given = _key_of(call.headers.get("Authorization")) or params.get("key")
        if given == self.secret_key or (given and given == self.secret_key.replace("sk_", "rk_", 1)):
            return False
        if given == self.publishable_key:
            return True
        raise unauthorized(given)


@dataclass
class _Work:
    account: Account
    route: Route
    ids: dict[str, str]
    params: Params
    from_app: bool
    fault: InjectedFault | None
    request_id: str
    key: str | None

    def do(self) -> StoredResponse:
        """Run the endpoint with its fault, and store the response under the key as Stripe does."""
        keys, key = self.account.keys, self.key
        try:
            answer = self._attempt()
        except StripeError as error:
            answer = refusal(error)
            if not error.stored:
                if key:
                    keys.release(key)
                return answer
        except BaseException:
            if key:
                keys.release(key)
            raise
        if self.fault and self.fault.when == "after" and self.fault.kind == "500":
            answer = refusal(server_error())
        answer.request_id = self.request_id
        if key:
            keys.keep(key, StoredResponse(answer.status, answer.body, dict(answer.headers), self.request_id))
        if self.fault and self.fault.when == "after" and self.fault.kind != "500":
            _meet(self.fault)
        return answer

    def _attempt(self) -> StoredResponse:
        params, secret = self.params, self.params.get("client_secret")
        if self.from_app:
            if not self.route.publishable:
                raise StripeError(403, "This API call cannot be made with a publishable API key.", stored=False)
            params = {name: value for name, value in params.items() if name not in _APPS_MAY_SEND}
        checked = parameters.check(params, self.route.takes, self.route.supported)
        expand = checked.pop("expand", [])
        if self.fault and self.fault.when == "before":
            if self.fault.kind == "slow":
                time.sleep(self.fault.seconds)
            else:
                _meet(self.fault)
        world = self.account.state
        with world.lock:
            world.run_due()
            world.request = {"id": self.request_id, "idempotency_key": self.key}
            try:
                return StoredResponse(200, json.dumps(self._view(world, checked, secret, expand)).encode())
            finally:
                world.request = None

    def _view(self, world: AccountState, params: Params, secret: str | None, expand: list[str]) -> routing.StripeObject:
        if self.from_app and "intent" in self.ids:
            payment_intents.of_client_secret(world, self.ids["intent"], secret)
            extra = {"from_app": True} if self.route.method == "POST" else {}
            return payment_intents.shown_to_app(self.route.view(world, params, **self.ids, **extra))
        shown = self.route.view(world, params, **self.ids)
        return expanded(world, shown, expand) if expand else shown


def refusal(error: StripeError) -> StoredResponse:
    """The response for an error."""
    return StoredResponse(error.status, json.dumps(error.body).encode(), dict(error.headers))


def _meet(fault: InjectedFault) -> None:
    failure = fault.answer()
    if isinstance(failure, StripeError | Cut):
        raise failure


def _key_of(header: str | None) -> str | None:
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return value.strip() or None


def _check_version(version: str | None) -> None:
    if version not in (None, API_VERSION):
        raise invalid(f"The Stripe simulator speaks version {API_VERSION} only, not {version}.")
