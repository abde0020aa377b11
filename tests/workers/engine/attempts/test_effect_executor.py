"""How effects are named on their way out."""

import base64
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from models.rules.executions.schedule import Step
from models.rules.graph.effects import ModelCall, TextResult
from models.rules.prices.pricing import Provider
from models.services.accounts import provider_keys
from models.tables import KeyStatus
from models.vault import Vault
from tests.support import factories
from workers.engine.attempts import effect_executor
from workers.engine.attempts.effect_executor import AttemptContext, GatewayExecutor, Gateways
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.openclaw import Cancelled, RunRef

EXECUTION = UUID("00000000-0000-4000-8000-000000000001")


@pytest.mark.parametrize(
    ("node_id", "named"), [("a-1", "a-1"), ("шаг→1", "%D1%88%D0%B0%D0%B3%E2%86%921"), ("a:b", "a%3Ab")]
)
def test_a_key_fits_into_a_header_whatever_the_node_is_called(node_id: str, named: str) -> None:
    attempt = AttemptContext(EXECUTION, EXECUTION, Step(node_id, "3.0"), 1, Cancel(), lambda _: None, lambda *_: None)
    assert attempt.key == f"af:{EXECUTION}:{named}:3.0"
    assert attempt.key.isascii()


class Refusing:
    """A provider that takes no key."""

    def call(self, *_: object, **__: object) -> TextResult:
        raise CallFailed("provider_key_rejected", "OpenAI does not accept the stored API key.")


def test_a_key_that_is_refused_during_a_run_is_shown_as_invalid(session: Session) -> None:
    vault = Vault("first:" + base64.b64encode(b"1" * 32).decode())
    user = factories.user(session)
    provider_keys.put(session, user.id, Provider.OPENAI, "sk-proj-0123456789abcdef", vault=vault)
    session.commit()
    performer = GatewayExecutor(
        Gateways(http=None, providers=Refusing(), openclaw=None, openclaw_settings=None, vault=vault)
    )
    attempt = AttemptContext(EXECUTION, user.id, Step("a", ""), 1, Cancel(), lambda _: None, lambda *_: None)
    with pytest.raises(CallFailed):
        performer.perform(ModelCall(Provider.OPENAI, None, "hello"), attempt)
    (row,) = provider_keys.list_owned(session, user.id)
    session.refresh(row)
    assert row.status is KeyStatus.INVALID


class Stubborn:
    """A gateway that says so and so when a run is to be stopped."""

    def __init__(self, answers: list[Cancelled]) -> None:
        self.answers, self.asked = answers, 0

    def cancel(self, ref: RunRef) -> Cancelled:
        self.asked += 1
        return self.answers.pop(0)


class TestStopping:
    """Stopping calls that an earlier driver left in the gateway."""

    KEPT = RunRef("af:1", "agent:main:agentforge:1").as_json()

    def test_asks_again_while_the_gateway_cannot_be_reached(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(effect_executor, "STOP_AGAIN", (0.0, 0.0, 0.0))
        assert self.asked([Cancelled.UNCONFIRMED, Cancelled.STOPPED]) == 2
        assert self.asked([Cancelled.NOT_RUNNING]) == 1
        assert self.asked([Cancelled.UNCONFIRMED] * 9) == 3

    def asked(self, answers: list[Cancelled]) -> int:
        """How often the gateway is asked that gives these answers."""
        gateway = Stubborn(answers)
        GatewayExecutor(Gateways(None, None, openclaw=gateway, openclaw_settings=None, vault=None)).stop(self.KEPT)
        return gateway.asked
