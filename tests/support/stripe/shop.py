"""A shop between the simulated Stripe and a database that commits, without a broker."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from models.db import session_scope
from models.services.credits import ledger
from models.services.stripe import payment_methods, purchases, stripe_events, subscriptions
from models.tables import Purchase, StripeEvent, StripeRequest, Subscription, User
from simulators.stripe import StripeSimulator
from tests.support import factories
from workers.gateways.stripe.gateway import StripeGateway
from workers.stripe import events, requests
from workers.stripe.sync import StripeSync

TIERS = {"price_premium_monthly": "premium", "price_enterprise_monthly": "enterprise"}
CARD = "pm_card_visa"


@dataclass
class Shop:
    """Helpers for tests of payments."""

    stripe: StripeSimulator
    stripe_sync: StripeSync

    # Users and their requests

    def user(self) -> User:
        with session_scope() as session:
            return factories.user(session, credits=0)

    def wants(self, user: User, package: str = "pack_100", card: str | None = None) -> StripeRequest:
        with session_scope() as session:
            return purchases.start(session, user, package_id=package, payment_method_id=card)[1]

    def wants_plan(self, user: User, price: str = "price_premium_monthly", card: str | None = None) -> StripeRequest:
        with session_scope() as session:
            return subscriptions.start(session, user, price_id=price, payment_method_id=card, tiers=TIERS)

    def wants_method(self, user: User, card: str = CARD) -> StripeRequest:
        with session_scope() as session:
            return payment_methods.start_add(session, user, card)

    # Workers

    def perform(self, request: StripeRequest, stripe_sync: StripeSync | None = None) -> StripeRequest:
        requests.perform(stripe_sync or self.stripe_sync, request.id)
        return self.see(StripeRequest, request.id)

    def buys(self, user: User, package: str = "pack_100", card: str | None = None) -> Purchase:
        """A purchase whose request was performed."""
        return self.purchase(self.perform(self.wants(user, package, card)))

    def later(self, request: StripeRequest) -> None:
        """Let a request's wait pass, and let a worker that holds it count as dead."""
        self._execute("UPDATE stripe_requests SET next_try_at = NULL, started_at = started_at - interval '2 minutes'")

    def a_day_later(self, request: StripeRequest) -> None:
        self.later(request)
        self._execute("UPDATE stripe_requests SET attempt_started_at = attempt_started_at - interval '25 hours'")
        self.stripe.forget_idempotency_keys()

    def has_paid(self) -> tuple[User, dict[str, Any]]:
        """A user who paid a purchase in the app, and Stripe's event of it, which has not been handled."""
        user = self.user()
        self.stripe.pay_intent(self.buys(user).payment_intent_id)
        [event] = self.events("payment_intent.succeeded")
        return user, event

    # Events

    def events(self, *types: str) -> list[dict[str, Any]]:
        """Stripe's events of these types, or all, in order of occurrence."""
        return [event for event in self.stripe.objects("event") if not types or event["type"] in types]

    def receive(self, *news: dict[str, Any]) -> None:
        """Store events as the webhook does."""
        with session_scope() as session:
            for event in news:
                stripe_events.receive(
                    session,
                    event_id=event["id"],
                    type=event["type"],
                    api_version=event["api_version"],
                    created=datetime.fromtimestamp(event["created"], UTC),
                    livemode=event["livemode"],
                    raw=orjson.dumps(event),
                )

    def handle(self, event: dict[str, Any], stripe_sync: StripeSync | None = None) -> StripeEvent:
        """Store one event and handle it."""
        self.receive(event)
        events.handle(stripe_sync or self.stripe_sync, event["id"])
        return self.see(StripeEvent, event["id"])

    def handle_all(self, *types: str) -> list[str]:
        """Handle all events of Stripe so far; return their final statuses."""
        return [self.handle(event).status.value for event in self.events(*types)]

    def event_later(self) -> None:
        """Let the waits of all events pass."""
        self._execute("UPDATE stripe_events SET next_try_at = NULL, begun_at = NULL")

    # Results

    def see(self, kind: Any, key: Any) -> Any:
        with session_scope() as session:
            return session.get_one(kind, key)

    def purchase(self, request: StripeRequest) -> Purchase:
        return self.see(Purchase, request.subject_id)

    def fresh(self, row: Any) -> Any:
        return self.see(type(row), row.id)

    def credits(self, user: User) -> Decimal:
        with session_scope() as session:
            return ledger.balance(session, user.id).balance

    def keys(self, user: User) -> list[str]:
        """The keys of all ledger entries of the user, oldest first."""
        with session_scope() as session:
            return [row.key for row in reversed(ledger.history(session, user.id))]

    def subscription(self, user: User) -> Subscription | None:
        with session_scope() as session:
            return subscriptions.current(session, user)

    def intents(self) -> list[dict[str, Any]]:
        return self.stripe.objects("payment_intent")

    def scalar(self, sql: str) -> Any:
        with session_scope() as session:
            return session.scalar(text(sql))

    def _execute(self, sql: str) -> None:
        with session_scope() as session:
            session.execute(text(sql))


def stripe_sync(stripe: StripeSimulator, *, key: str = "", timeout: float = 20.0, retries: int = 0) -> StripeSync:
    return StripeSync(StripeGateway(key or stripe.secret_key, stripe.url, timeout=timeout, retries=retries), TIERS)


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Results of calls that begin at the same moment, each in its own thread."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait(10)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def uuid_of(thing: dict[str, Any], name: str) -> UUID:
    return UUID(thing["metadata"][name])


class SlowReader(StripeGateway):
    """A gateway that returns a subscription late after reading it."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.has_read, self.may_go_on = threading.Event(), threading.Event()

    def subscription(self, subscription_id: str):
        found = super().subscription(subscription_id)
        self.has_read.set()
        assert self.may_go_on.wait(10)
        return found
