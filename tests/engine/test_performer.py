"""How effects are named on their way out."""

import base64
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from models.provider_key import KeyStatus
from models.rules.effects import ModelCall, TextAnswer
from models.rules.pricing import Provider
from models.rules.schedule import Step
from models.services import provider_keys
from models.vault import Vault
from tests import factories
from workers.engine import performer
from workers.engine.performer import Attempt, Gateways, Performer
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.openclaw import Cancelled, RunRef

EXECUTION = UUID("00000000-0000-4000-8000-000000000001")


@pytest.mark.parametrize(
    ("node_id", "named"), [("a-1", "a-1"), ("шаг→1", "%D1%88%D0%B0%D0%B3%E2%86%921"), ("a:b", "a%3Ab")]
)
def test_a_key_fits_into_a_header_whatever_the_node_is_called(node_id: str, named: str) -> None:
    attempt = Attempt(EXECUTION, EXECUTION, Step(node_id, "3.0"), 1, Cancel(), lambda _: None, lambda *_: None)
    assert attempt.key == f"af:{EXECUTION}:{named}:3.0"
    assert attempt.key.isascii()


class Refusing:
    """A provider that takes no key."""

    def call(self, *_: object, **__: object) -> TextAnswer:
        raise CallFailed("provider_key_rejected", "OpenAI does not accept the stored API key.")


def test_a_key_that_is_refused_during_a_run_is_shown_to_its_owner_as_invalid(session: Session) -> None:
    vault = Vault("first:" + base64.b64encode(b"1" * 32).decode())
    user = factories.user(session)
    provider_keys.put(session, user.id, Provider.OPENAI, "sk-proj-0123456789abcdef", vault=vault)
    session.commit()
    performer = Performer(Gateways(http=None, providers=Refusing(), openclaw=None, openclaw_settings=None, vault=vault))
    attempt = Attempt(EXECUTION, user.id, Step("a", ""), 1, Cancel(), lambda _: None, lambda *_: None)
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
    """What an earlier driver left behind in the gateway."""

    KEPT = RunRef("af:1", "agent:main:agentforge:1").as_json()

    def test_asks_again_while_the_gateway_cannot_be_reached(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(performer, "STOP_AGAIN", (0.0, 0.0, 0.0))
        assert self.asked([Cancelled.UNCONFIRMED, Cancelled.STOPPED]) == 2
        assert self.asked([Cancelled.NOT_RUNNING]) == 1
        assert self.asked([Cancelled.UNCONFIRMED] * 9) == 3

    def asked(self, answers: list[Cancelled]) -> int:
        """How often the gateway is asked that gives these answers."""
        gateway = Stubborn(answers)
        Performer(Gateways(None, None, openclaw=gateway, openclaw_settings=None, vault=None)).stop(self.KEPT)
        return gateway.asked
