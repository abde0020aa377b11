"""Limits of a user under concurrent requests. Some limits have such a test elsewhere.

Those are the tier's workflows (`test_workflows`), calls (`test_api_calls`), credits (`test_credits_concurrency`) and
the one subscription (`test_subscriptions`).
"""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from models.db import session_scope
from models.errors import ForgeError
from models.rules.prices.pricing import PLANS, Tier
from models.services.accounts import access_keys, password_resets
from models.services.orchestration import leases
from models.services.workflows import templates
from models.tables import Notification, User
from tests.support import factories
from tests.support.database.concurrency import at_once

pytestmark = pytest.mark.usefixtures("committed_database")

GRAPH = factories.chain(factories.node("start", "input"), factories.node("end", "output"))


@pytest.fixture
def owner(committed_database: str) -> User:
    with session_scope() as session:
        return factories.user(session)


def allowed(act: Callable[[int], object], times: int = 32) -> int:
    """How many of so many concurrent requests are accepted; all connections are open before the first one."""

    def connect(_: int) -> None:
        with session_scope() as session:
            session.execute(text("SELECT pg_sleep(0.05)"))

    def ask(number: int) -> bool:
        try:
            return bool(act(number))
        except ForgeError:
            return False

    at_once(16, connect)
    return sum(at_once(times, ask))


def test_no_more_templates_are_kept(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MAX_OWNED", 5)

    def create(_: int) -> UUID:
        with session_scope() as session:
            return templates.create(session, owner, name="Mine", category="c", graph=GRAPH).id

    assert allowed(create) == 5


def test_no_more_access_keys_are_made(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_keys, "MAX_KEYS", 5)

    def create(_: int) -> UUID:
        with session_scope() as session:
            return access_keys.create(session, owner.id, name="Mine")[0].id

    assert allowed(create) == 5


def test_no_more_mails_for_a_new_password_are_sent(owner: User) -> None:
    with session_scope() as session:
        asked = [password_resets.request_reset(session, owner.email, None).id for _ in range(32)]

    def answer(number: int) -> bool:
        with session_scope() as session:
            return bool(password_resets.send_reset_mail(session, asked[number]))

    assert allowed(answer) == password_resets.MAX_MAILS
    with session_scope() as session:
        assert session.scalar(select(func.count()).select_from(Notification)) == password_resets.MAX_MAILS


@pytest.mark.parametrize("tier", [Tier.FREE, Tier.PREMIUM])
def test_no_more_runs_are_driven(tier: Tier) -> None:
    with session_scope() as session:
        workflow = factories.workflow(session, factories.user(session, tier=tier))
        runs = [factories.execution(session, workflow).id for _ in range(48)]

    def claim(number: int) -> bool:
        with session_scope() as session:
            return leases.claim(session, runs[number], owner="worker", seconds=30) is not None

    assert allowed(claim, 48) == PLANS[tier].concurrent_runs
