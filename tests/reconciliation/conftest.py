"""A shop whose webhooks never arrive, so that reconciliation has everything to do; beside it a run of each kind."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from devstack.stripe_simulator import StripeSimulator
from models.db import session_scope
from models.purchase import Purchase
from models.reconciliation import ReconciliationFinding, ReconciliationRun, RunKind
from models.services import reconciliation
from tasks.queue import publish_through
from tests.billing.conftest import shop_database, shop_engine, stripe, stripe_server
from tests.billing.shop import Shop, follower
from workers.reconciliation.runner import Reconciler

__all__ = ["shop_database", "shop_engine", "stripe", "stripe_server"]  # fixtures of the shop's


@dataclass
class Books:
    """The shop, and what reconciliation makes of it."""

    shop: Shop
    pauses: list[float] = field(default_factory=list)

    @property
    def stripe(self) -> StripeSimulator:
        return self.shop.stripe

    def reconciler(self, **changes: Any) -> Reconciler:
        """One that takes no rest, and believes events at once; its clock is Stripe's."""
        values: dict[str, Any] = {
            "follower": self.shop.follower,
            "sleep": self.pauses.append,
            "settling": timedelta(seconds=-5),
            "clock": lambda: datetime.fromtimestamp(self.stripe.now(), UTC),
        }
        return Reconciler(**values | changes)

    def run(self, kind: RunKind, reconciler: Reconciler | None = None, **how: Any) -> ReconciliationRun:
        run_id = (reconciler or self.reconciler()).run(kind, **how)
        assert run_id is not None
        return self.row(run_id)

    def row(self, run_id: UUID) -> ReconciliationRun:
        with session_scope() as session:
            return reconciliation.run(session, run_id)

    def found(self, run: ReconciliationRun) -> list[ReconciliationFinding]:
        with session_scope() as session:
            return list(reconciliation.findings(session, run.id))

    def watermark(self, kind: RunKind) -> datetime | None:
        with session_scope() as session:
            return reconciliation.watermark(session, kind)

    def intent(self, purchase: Purchase) -> dict[str, Any]:
        """Stripe's side of a purchase."""
        return self.stripe.get(str(purchase.payment_intent_id))

    def forget(self, *statements: str) -> None:
        """What a restored database, or a hand that should not have, does to rows."""
        with session_scope() as session:
            session.execute(text("SET LOCAL session_replication_role = replica"))  # past the triggers and references
            for statement in statements:
                session.execute(text(statement))


@pytest.fixture
def books(stripe: StripeSimulator, shop_database: str) -> Iterator[Books]:
    before = publish_through(lambda doorbell: None)
    yield Books(Shop(stripe, follower(stripe)))
    publish_through(before)
