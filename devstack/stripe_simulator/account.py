"""One simulated Stripe account: from an HTTP request to its answer, whatever the transport."""

import base64
import binascii
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from devstack.stripe_simulator import parameters, payment_intents, routing
from devstack.stripe_simulator.errors import StripeError, invalid, server_error, unauthorized
from devstack.stripe_simulator.faults import Cut, Fault, Faults
from devstack.stripe_simulator.idempotency import Answer, IdempotencyKeys
from devstack.stripe_simulator.paging import expanded
from devstack.stripe_simulator.parameters import Params
from devstack.stripe_simulator.postman import Postman
from devstack.stripe_simulator.routing import Route
from devstack.stripe_simulator.wiring import new_world
from devstack.stripe_simulator.world import API_VERSION, World

_APPS_MAY_SEND = ("client_secret", "key", "use_stripe_sdk", "expected_payment_method_type")


@dataclass(frozen=True)
class Call:
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
        self.postman = Postman()
        self.world = new_world(self.postman.publish)
        self.faults = Faults()
        self.keys = IdempotencyKeys()
        self.calls: list[str] = []

    def answer(self, call: Call) -> Answer:
        """Answer one request; raises `Cut` when the caller shall get nothing."""
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

    def _guarded(self, call: Call, key: str | None, request_id: str) -> Answer:
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
        stored = self.keys.begin(key, fingerprint, self.world.now())
        if stored is not None:
            headers = stored.headers | {"Original-Request": stored.request_id, "Idempotent-Replayed": "true"}
            return Answer(stored.status, stored.body, headers, stored.request_id)
        return work.do()

    def _authenticate(self, call: Call, params: Params) -> bool:
        """Whether the caller is an app that has the publishable key only; raises 401 for other keys."""
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
    fault: Fault | None
    request_id: str
    key: str | None

    def do(self) -> Answer:
        """Run the endpoint with its fault, and keep the answer under the key if Stripe would."""
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
            keys.keep(key, Answer(answer.status, answer.body, dict(answer.headers), self.request_id))
        if self.fault and self.fault.when == "after" and self.fault.kind != "500":
            _meet(self.fault)
        return answer

    def _attempt(self) -> Answer:
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
        world = self.account.world
        with world.lock:
            world.run_due()
            world.request = {"id": self.request_id, "idempotency_key": self.key}
            try:
                return Answer(200, json.dumps(self._view(world, checked, secret, expand)).encode())
            finally:
                world.request = None

    def _view(self, world: World, params: Params, secret: str | None, expand: list[str]) -> routing.StripeObject:
        if self.from_app and "intent" in self.ids:
            payment_intents.of_client_secret(world, self.ids["intent"], secret)
            extra = {"from_app": True} if self.route.method == "POST" else {}
            return payment_intents.shown_to_app(self.route.view(world, params, **self.ids, **extra))
        shown = self.route.view(world, params, **self.ids)
        return expanded(world, shown, expand) if expand else shown


def refusal(error: StripeError) -> Answer:
    """The answer that an error is."""
    return Answer(error.status, json.dumps(error.body).encode(), dict(error.headers))


def _meet(fault: Fault) -> None:
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
