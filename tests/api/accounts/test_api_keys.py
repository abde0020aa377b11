"""Users' own provider keys over HTTP: stored, tried out by a worker, never shown."""

import base64
from collections.abc import Iterator
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.prices.pricing import Provider
from models.services.accounts import provider_keys
from models.tables import KeyStatus, User
from models.vault import Vault
from settings import ProviderUrls, Settings
from simulators.ai.server import AiSimulator, running_ai_simulator
from tasks.queue import TaskMessage, TaskName
from tests.support import factories
from workers.gateways.providers import Providers
from workers.provider_keys import try_out

KEYS = {
    "openai": "sk-proj-canary-0123456789",
    "anthropic": "sk-ant-canary-0123456789",
    "google": "AIzaSyCanary-0123456789",
}
WRONG = {name: key.replace("anary", "anary-invalid") for name, key in KEYS.items()}


@pytest.fixture(scope="module")
def ai() -> Iterator[AiSimulator]:
    """The providers."""
    with running_ai_simulator() as simulator:
        yield simulator


@pytest.fixture
def work(ai: AiSimulator, settings: Settings, sent: list[TaskMessage]):
    """Let a worker handle the published messages."""
    providers = Providers(ProviderUrls(ai.openai, ai.anthropic, ai.google))

    def run() -> None:
        while sent:
            message = sent.pop(0)
            assert message.task is TaskName.TEST_KEY
            try_out(UUID(str(message.ids["key_id"])), providers, Vault(settings.encryption_keys))

    return run


def put(client: FlaskClient, provider: str, key: str):
    return client.put(f"/api/api-keys/{provider}", json={"key": key})


def listed(client: FlaskClient) -> dict[str, dict]:
    return {key["provider"]: key for key in client.get("/api/api-keys").json["apiKeys"]}


@pytest.mark.parametrize("provider", KEYS)
class TestEachProvider:
    def test_a_key_is_stored_and_tried_out_by_a_worker(self, client, work, provider):
        answer = put(client, provider, KEYS[provider])
        assert answer.status_code == 200
        assert (answer.json["apiKey"]["last4"], answer.json["apiKey"]["status"]) == ("6789", "testing")
        work()
        assert listed(client)[provider]["status"] == "valid"
        assert listed(client)[provider]["testedAt"] is not None

    def test_a_key_that_its_provider_refuses_is_shown_as_invalid(self, client, work, provider):
        put(client, provider, WRONG[provider])
        work()
        assert listed(client)[provider]["status"] == "invalid"

    def test_a_provider_that_is_away_says_nothing_about_the_key(self, client, work, provider):
        put(client, provider, KEYS[provider] + "-away")
        work()
        assert listed(client)[provider]["status"] == "unreachable"


def test_no_answer_shows_more_of_a_key_than_its_end(client, work):
    answers = [put(client, "openai", KEYS["openai"]), client.post("/api/api-keys/openai/test", json={})]
    work()
    answers += [put(client, "openai", "sk-canary"), put(client, "anthropic", KEYS["openai"])]
    answers.append(client.get("/api/api-keys"))
    assert [answer.status_code for answer in answers] == [200, 202, 422, 422, 200]
    for answer in answers:
        assert "canary" not in answer.get_data(as_text=True)


def test_what_cannot_be_a_key_is_refused_by_name_and_nothing_is_stored(client, sent):
    answer = put(client, "anthropic", KEYS["openai"])
    assert answer.json["errors"] == [
        {"field": "key", "message": "key must be a key of anthropic, which begins with sk-ant-."}
    ]
    assert (listed(client), sent) == ({}, [])


def test_providers_that_take_no_key_have_no_address(client):
    assert put(client, "openclaw", KEYS["openai"]).status_code == 404
    assert put(client, "nobody", KEYS["openai"]).status_code == 404


def test_a_key_is_forgotten_when_its_owner_says_so(client, work):
    put(client, "openai", KEYS["openai"])
    assert client.delete("/api/api-keys/openai").status_code == 204
    assert client.delete("/api/api-keys/openai").status_code == 404
    assert client.post("/api/api-keys/openai/test", json={}).status_code == 404
    work()
    assert listed(client) == {}


def test_keys_of_others_do_not_exist(client, sign_in, other):
    put(client, "openai", KEYS["openai"])
    eve = sign_in(other)
    assert listed(eve) == {}
    assert eve.delete("/api/api-keys/openai").status_code == 404
    assert eve.post("/api/api-keys/openai/test", json={}).status_code == 404
    assert "openai" in listed(client)


def test_the_test_of_a_replaced_key_does_not_count_for_the_new_one(
    client, session: Session, user: User, settings: Settings
):
    put(client, "openai", WRONG["openai"])
    vault = Vault(settings.encryption_keys)
    (row,) = provider_keys.list_owned(session, user.id)
    tested = provider_keys.candidate(session, row.id, vault=vault)
    put(client, "openai", KEYS["openai"])
    provider_keys.record_test(session, tested, KeyStatus.INVALID)
    assert listed(client)["openai"]["status"] == "testing"


def test_a_test_whose_message_was_lost_is_enqueued_again_once(client, session: Session):
    put(client, "openai", KEYS["openai"])
    assert provider_keys.due_tests(session) == []
    session.execute(text("UPDATE provider_api_keys SET updated_at = now() - interval '1 minute'"))
    assert len(provider_keys.due_tests(session)) == 1
    assert provider_keys.due_tests(session) == []


class TestRotation:
    OLD = "old:" + base64.b64encode(b"1" * 32).decode()
    NEW = "new:" + base64.b64encode(b"2" * 32).decode()

    def fill(self, session: Session, number: int) -> list[User]:
        users = [factories.user(session) for _ in range(number)]
        for one in users:
            provider_keys.put(session, one.id, Provider.OPENAI, KEYS["openai"], vault=Vault(self.OLD))
        return users

    def rotated(self, session: Session, ring: str, **how) -> tuple[int, int]:
        sealed = unreadable = 0
        last, more = None, True
        while more:
            batch = provider_keys.rotate(session, vault=Vault(ring), after=last, limit=2, **how)
            sealed, unreadable, last = sealed + batch.sealed, unreadable + batch.unreadable, batch.last
            more = last is not None
        return sealed, unreadable

    def test_seals_every_key_again_so_that_the_old_one_can_go(self, session):
        users = self.fill(session, 5)
        assert self.rotated(session, f"{self.NEW},{self.OLD}", dry_run=True) == (5, 0)
        assert self.rotated(session, f"{self.NEW},{self.OLD}") == (5, 0)
        for one in users:
            assert provider_keys.secret_for(session, one.id, Provider.OPENAI, vault=Vault(self.NEW)) == KEYS["openai"]
        assert self.rotated(session, f"{self.NEW},{self.OLD}") == (0, 0)

    def test_counts_what_cannot_be_opened_and_leaves_it(self, session):
        (one, *_) = self.fill(session, 3)
        assert self.rotated(session, self.NEW) == (0, 3)
        assert provider_keys.secret_for(session, one.id, Provider.OPENAI, vault=Vault(self.OLD)) == KEYS["openai"]


def test_use_is_noted_to_the_minute(client, session: Session, user: User, settings: Settings):
    put(client, "openai", KEYS["openai"])
    vault = Vault(settings.encryption_keys)
    assert listed(client)["openai"]["lastUsedAt"] is None
    provider_keys.secret_for(session, user.id, Provider.OPENAI, vault=vault)
    session.commit()
    assert listed(client)["openai"]["lastUsedAt"] is not None
