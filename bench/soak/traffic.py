"""The traffic of the soak's users: they buy, request refunds, and run a workflow."""

import argparse
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID

from bench.soak.drift import query
from bench.soak.trouble import Stripe
from devstack.app_client import AppClient, AppClientError
from models.db import session_scope
from models.rules.prices.pricing import Tier
from models.services.accounts import administration
from models.tables import User

AT_ONCE, BY_APP = "charged at once", "confirmed by the app"
WORKFLOW = {
    "nodes": [
        {"id": "first", "type": "process", "label": "First", "config": {"expression": "1"}},
        {"id": "ask", "type": "ai_agent", "label": "Ask", "config": {"prompt": "[[sim:delay=1]] Count these words."}},
        {"id": "last", "type": "process", "label": "Last", "config": {"expression": "nodes.ask.output.text"}},
    ],
    "connections": [{"id": "1", "from": "first", "to": "ask"}, {"id": "2", "from": "ask", "to": "last"}],
}


class Traffic:
    """The users' actions, from many threads."""

    def __init__(
        self, users: list[tuple[AppClient, str]], database: str, stripe: Stripe, args: argparse.Namespace
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.clock: dict[str, dict[UUID, float]] = {AT_ONCE: {}, BY_APP: {}}  # when each purchase was requested
        self._users, self._database, self._stripe, self._args = users, database, stripe, args
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._later = ThreadPoolExecutor(64)

    def run(self, until: float) -> None:
        """Run all traffic; no purchase begins after `until` (monotonic seconds)."""
        threads = [threading.Thread(target=self._work, args=(until,)) for _ in range(self._args.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._later.shutdown()

    def _work(self, until: float) -> None:
        for number in iter(lambda: next(self._numbers), None):
            if number >= self._args.purchases or time.monotonic() > until:
                return
            dice = random.Random(f"{self._args.seed}-{number}")
            app, workflow_id = self._users[number % len(self._users)]
            self._try(self._buy, app, dice)
            if dice.random() < self._args.runs:
                self._try(self._run, app, workflow_id)

    def _try(self, act: Callable[..., None], *arguments: Any) -> None:
        try:
            act(*arguments)
        except AppClientError as refusal:
            self._count(f"{refusal.status} {refusal.code}", self.refused)
        except OSError as error:
            self._count(type(error).__name__, self.refused)

    def _buy(self, app: AppClient, dice: random.Random) -> None:
        by_app = dice.random() < self._args.by_app
        order = {"packageId": dice.choice(["pack_100", "pack_500", "pack_1000"])}
        self._count("purchases")
        begun = time.monotonic()
        purchase = app.call(
            "POST", "/credits/purchase", order | ({} if by_app else {"paymentMethodId": "pm_card_visa"})
        )
        if not by_app:
            self.clock[AT_ONCE][UUID(purchase["id"])] = begun
        refund = dice.random() < self._args.refunds
        part = {"amount": purchase["amountCents"] // 3} if dice.random() < 0.5 else {}
        if intent := self._intent(purchase):
            self._go_on(purchase, intent, by_app, part if refund else None)
        elif by_app or refund:  # perhaps its worker was killed; wait in a separate thread
            self._later.submit(self._try, self._wait_and_go_on, purchase, by_app, part if refund else None)

    def _wait_and_go_on(self, purchase: Any, by_app: bool, refund: dict[str, int] | None) -> None:
        deadline = time.monotonic() + 150
        while not (intent := self._intent(purchase)) and time.monotonic() < deadline:
            time.sleep(0.5)
        if intent:
            self._go_on(purchase, intent, by_app, refund)
        else:
            self._count("no payment intent within 150 s", self.refused)

    def _intent(self, purchase: Any) -> str | None:
        """The id of its payment intent, which the app would get from the client secret."""
        statement = "SELECT payment_intent_id FROM purchases WHERE id = %s"
        found: str | None = query(self._database, statement, (purchase["id"],))[0][0]
        return found

    def _go_on(self, purchase: Any, intent: str, by_app: bool, refund: dict[str, int] | None) -> None:
        """Confirm it as the app does, and request the refund if one is planned."""
        if by_app:
            self.clock[BY_APP][UUID(purchase["id"])] = time.monotonic()
            self._stripe("pay_intent", intent=intent)
            self._count(BY_APP)
        if refund is not None:
            self._stripe("refund", charge_or_intent=intent, **refund)
            self._count("refunds")

    def _run(self, app: AppClient, workflow_id: str) -> None:
        app.execute(workflow_id, None)
        self._count("runs")

    def _count(self, what: str, counter: Counter[str] | None = None) -> None:
        with self._lock:
            (self.counts if counter is None else counter)[what] += 1


def make_users(url: str, number: int) -> list[tuple[AppClient, str]]:
    """Create users with high limits, each with a workflow."""
    found = []
    for index in range(number):
        app = AppClient(url)
        user_id = UUID(app.register(f"soak-{index}@example.com", "a long password", f"Soak {index}")["id"])
        with session_scope() as session:
            session.get_one(User, user_id).subscription_tier = Tier.ENTERPRISE
            how = {"reason": "Soak", "address": None, "key": f"soak:{user_id}"}
            administration.adjust(session, None, user_id, amount=Decimal(1000), **how)
        found.append((app, app.save("Soak", WORKFLOW)["id"]))
    return found
