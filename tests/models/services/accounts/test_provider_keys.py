"""Users' own keys: written, used, never shown."""

import base64

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.errors import InvalidInput, NotFound
from models.rules.prices.pricing import Provider
from models.services.accounts import provider_keys
from models.tables import User
from models.vault import SecretUnreadable, Vault
from tests.support import factories

VAULT = Vault("first:" + base64.b64encode(b"1" * 32).decode())
SECRET = "sk-proj-canary-0123456789"


@pytest.fixture
def user(session: Session) -> User:
    return factories.user(session)


def put(session: Session, user: User, secret: str = SECRET, provider: Provider = Provider.OPENAI) -> None:
    provider_keys.put(session, user.id, provider, secret, vault=VAULT)


def secret_of(session: Session, user: User, provider: Provider = Provider.OPENAI) -> str | None:
    return provider_keys.secret_for(session, user.id, provider, vault=VAULT)


def test_comes_back_for_a_call_and_nowhere_else(session: Session, user: User) -> None:
    put(session, user, f" {SECRET}\n")
    assert secret_of(session, user) == SECRET
    (row,) = provider_keys.list_owned(session, user.id)
    assert (row.provider, row.last4, row.key_id) == (Provider.OPENAI, "6789", "first")
    stored = session.execute(text("SELECT provider_api_keys::text FROM provider_api_keys")).scalar_one()
    assert "canary" not in stored
    assert SECRET.encode().hex() not in stored


def test_is_replaced_by_the_next_one(session: Session, user: User) -> None:
    put(session, user)
    put(session, user, "sk-another-0123456789")
    assert secret_of(session, user) == "sk-another-0123456789"
    assert len(provider_keys.list_owned(session, user.id)) == 1


def test_is_one_users_and_one_providers(session: Session, user: User) -> None:
    put(session, user)
    assert secret_of(session, factories.user(session)) is None
    assert secret_of(session, user, Provider.ANTHROPIC) is None


def test_moved_to_another_users_row_stays_shut(session: Session, user: User) -> None:
    put(session, user)
    thief = factories.user(session)
    session.execute(text("UPDATE provider_api_keys SET user_id = :thief"), {"thief": thief.id})
    session.expire_all()
    with pytest.raises(SecretUnreadable):
        secret_of(session, thief)


def test_is_forgotten_when_deleted(session: Session, user: User) -> None:
    put(session, user)
    provider_keys.delete(session, user.id, Provider.OPENAI)
    assert secret_of(session, user) is None
    with pytest.raises(NotFound):
        provider_keys.delete(session, user.id, Provider.OPENAI)


@pytest.mark.parametrize(
    ("provider", "secret"),
    [
        (Provider.OPENAI, "sk-proj-0123456789abcdef"),
        (Provider.ANTHROPIC, "sk-ant-api03-0123456789abcdef"),
        (Provider.GOOGLE, "AIzaSyA0123456789abcdef"),
    ],
)
def test_may_have_the_form_of_its_provider(session: Session, user: User, provider: Provider, secret: str) -> None:
    put(session, user, secret, provider)
    assert secret_of(session, user, provider) == secret


@pytest.mark.parametrize(
    ("provider", "secret"),
    [
        (Provider.OPENAI, "pk-proj-0123456789abcdef"),
        (Provider.ANTHROPIC, "sk-proj-0123456789abcdef"),
        (Provider.GOOGLE, "sk-proj-0123456789abcdef"),
        (Provider.OPENAI, "sk-short"),
        (Provider.OPENAI, "sk-" + "x" * 600),
        (Provider.OPENAI, "sk-with a space 0123456789"),
        (Provider.OPENAI, "sk-0123456789\x00abcdef"),
        (Provider.OPENAI, "sk-0123456789äöüabcdef"),
        (Provider.OPENCLAW, "sk-proj-0123456789abcdef"),
    ],
)
def test_of_another_form_is_refused_and_not_repeated(
    session: Session, user: User, provider: Provider, secret: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        put(session, user, secret, provider)
    assert secret not in str(refusal.value) + str(refusal.value.errors)
    assert provider_keys.list_owned(session, user.id) == []
