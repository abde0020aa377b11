"""A real engine over real gateways, and simulators on the other side of them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from models.db import SessionFactory, connect, session_scope
from models.rules.prices.pricing import Provider
from models.services.accounts import provider_keys
from models.services.executions import executions
from models.tables import User
from models.vault import Vault
from settings import DEVELOPMENT_KEY, ProviderUrls
from simulators.ai.server import AiSimulator, running_ai_simulator
from simulators.openclaw import Simulator, running_simulator
from tests.support.engine.bench import Bench
from tests.support.engine.openclaw_case import settings_for, socket_driver
from tests.support.engine.runtimes import shut_down
from tests.support.engine.world import World
from tests.support.factories import node
from workers.engine.attempts.effect_executor import GatewayExecutor, Gateways
from workers.engine.driver.outcomes import DriveResult
from workers.gateways.http.client import HttpGateway
from workers.gateways.providers import Providers

KEYS = {Provider.OPENAI: "sk-test-0123456789abcdef", Provider.ANTHROPIC: "sk-ant-0123456789abcdef"}
SOON = 10.0  # seconds; promised are 2, to be measured where nothing else runs: what hangs here does so for 15 or more


class Outside(Bench):
    """Submits graphs whose calls leave the house."""

    def __init__(self, ai: AiSimulator, openclaw: Simulator) -> None:
        self.ai, self.openclaw = ai, openclaw
        vault = Vault(DEVELOPMENT_KEY)
        self.gateway = socket_driver(openclaw)
        gateways = Gateways(
            http=HttpGateway(allow=("127.0.0.1",)),
            providers=Providers(ProviderUrls(ai.openai, ai.anthropic, ai.google)),
            openclaw=self.gateway,
            openclaw_settings=settings_for(openclaw.url),
            vault=vault,
        )
        super().__init__(World(), GatewayExecutor(gateways))
        self.sql("UPDATE users SET subscription_tier = 'premium' WHERE id = :id", id=self.user_id)
        with session_scope() as session:
            for provider, secret in KEYS.items():
                provider_keys.put(session, self.user_id, provider, secret, vault=vault)

    def cancel(self, execution_id: UUID) -> None:
        with session_scope() as session:
            executions.request_cancel(session, session.get_one(User, self.user_id), execution_id)

    def types(self, execution_id: UUID) -> list[str]:
        return [event.type for event in self.events(execution_id)]

    def until(self, condition: Callable[[], Any], seconds: float = 20.0) -> None:
        """Wait for what happens out there."""
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "it never became true"
            time.sleep(0.02)

    @contextmanager
    def cancelled_soon(self, execution_id: UUID, left: Callable[[], DriveResult | None]) -> Iterator[None]:
        """Cancel; what the block waits for must come because of that, and not because a call ended by itself."""
        begun = time.monotonic()
        self.cancel(execution_id)
        yield
        assert time.monotonic() - begun < SOON
        left()
        assert self.execution(execution_id).status == "cancelled"
        held = self.sql("SELECT status FROM credit_holds WHERE execution_id = :id", id=execution_id)
        assert held == ("captured" if self.execution(execution_id).credits_charged else "released")


def model(node_id: str, prompt: str, provider: str = "openai", **rest: Any) -> dict[str, Any]:
    """A call of a model."""
    return node(node_id, "ai_agent", config={"provider": provider, "prompt": prompt}, **rest)


def turn(node_id: str, prompt: str, **rest: Any) -> dict[str, Any]:
    """A turn of an agent."""
    return node(node_id, "ai_agent", config={"prompt": prompt}, **rest)


def http(node_id: str, url: str, **rest: Any) -> dict[str, Any]:
    """A call of an API."""
    return node(node_id, "api_call", config={"method": "GET", "url": url, "retries": 0}, **rest)


@pytest.fixture(scope="module")
def database(postgres: Any, template_database: str) -> Iterator[None]:
    """One for all tests of a module: each has a user of its own."""
    engine = connect(postgres.create_database("outside", template=template_database))
    yield
    SessionFactory.configure(bind=None)
    engine.dispose()
    postgres.drop_database("outside")


@pytest.fixture
def outside(database: None, request: pytest.FixtureRequest) -> Iterator[Outside]:
    """Simulators of the AI providers and the gateway, and an engine that calls them; a parameter tunes the latter."""
    options = {"delay": 0.02, "orphan_delay": 0.2, "downtime": 0.1} | getattr(request, "param", {})
    with running_ai_simulator() as ai, running_simulator(**options) as openclaw:
        outside = Outside(ai, openclaw)
        yield outside
        for runtime in outside.runtimes:
            shut_down(runtime)
        outside.gateway.close()
    assert outside.violations() == []
