"""The configuration that clients read before anybody signs in."""

from dataclasses import replace

import pytest

from api.routes.operations.client_config import client_config
from settings import Settings, SettingsError


@pytest.fixture
def config(settings: Settings):
    def config(**stripe: object) -> dict[str, object]:
        return client_config(replace(settings, stripe=replace(settings.stripe, **stripe)))

    return config


def test_is_for_everyone(stranger):
    said = stranger.get("/config").json
    assert (said["name"], said["demo"], said["stripePublishableKey"]) == ("AgentForge", None, None)


@pytest.mark.parametrize(
    ("key", "livemode", "offered"), [("", False, True), ("pk_test_1", False, False), ("", True, False)]
)
def test_test_cards_are_offered_where_no_card_can_be_entered(config, key, livemode, offered):
    assert config(publishable_key=key, livemode=livemode)["test_cards"] is offered


def test_names_the_demo_account(settings):
    demo = client_config(replace(settings, demo_account="demo@example.com:s:e"))["demo"]
    assert demo == {"email": "demo@example.com", "password": "s:e"}


def test_production_has_no_demo_account(capsys):
    with pytest.raises(SettingsError):
        Settings.from_env({"AGENTFORGE_ENV": "production", "DEMO_ACCOUNT": "demo@example.com:secret"})
    assert "DEMO_ACCOUNT is for development" in capsys.readouterr().err
