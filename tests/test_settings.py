"""Production starts with its secrets or not at all."""

import pytest

from settings import DEVELOPMENT_KEY, Settings, SettingsError

PRODUCTION = {
    "AGENTFORGE_ENV": "production",
    "DATABASE_URL": "postgresql://db/agentforge",
    "REDIS_URL": "redis://redis/0",
    "JWT_SECRET": "x" * 32,
    "ENCRYPTION_KEYS": DEVELOPMENT_KEY,
    "OPENCLAW_TOKEN": "token",
    "APP_URL": "https://api.agentforge.example",
    "STRIPE_SECRET_KEY": "rk_live_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
}


def test_development_needs_nothing() -> None:
    settings = Settings.from_env({})
    assert not settings.stripe.livemode
    assert settings.stripe.tiers == {"price_premium_monthly": "premium", "price_enterprise_monthly": "enterprise"}


def test_production_starts_with_its_secrets() -> None:
    assert Settings.from_env(PRODUCTION).stripe.livemode


@pytest.mark.parametrize("name", sorted(set(PRODUCTION) - {"AGENTFORGE_ENV"}))
@pytest.mark.parametrize("blank", ["", "  "])
def test_production_does_not_start_without(name: str, blank: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingsError):
        Settings.from_env(PRODUCTION | {name: blank})
    assert name in capsys.readouterr().err


@pytest.mark.parametrize("value", [",", " , ,"])
def test_a_list_of_no_webhook_secrets_is_none(value: str) -> None:
    with pytest.raises(SettingsError):
        Settings.from_env(PRODUCTION | {"STRIPE_WEBHOOK_SECRET": value})


def test_a_webhook_secret_may_be_rolled() -> None:
    rolled = Settings.from_env(PRODUCTION | {"STRIPE_WEBHOOK_SECRET": " whsec_new , whsec_old ,"})
    assert rolled.stripe.webhook_secrets == ("whsec_new", "whsec_old")


def test_no_secret_is_shown() -> None:
    shown = repr(
        Settings.from_env(PRODUCTION | {"SMTP_URL": "smtp://u:mailsecret@host", "EXPO_ACCESS_TOKEN": "exposecret"})
    )
    for secret in ("rk_live_1", "whsec_1", "mailsecret", "exposecret", "x" * 32, "postgresql://db"):
        assert secret not in shown


NEW = "n" * 32


def test_one_signing_secret_is_a_ring_of_one() -> None:
    assert Settings.from_env(PRODUCTION).jwt_keys == {"default": "x" * 32}


def test_a_ring_of_signing_secrets_goes_before_the_single_one() -> None:
    ring = {"JWT_SECRETS": f" b:{NEW}, a:with:colon{NEW}"}
    assert list(Settings.from_env(PRODUCTION | ring).jwt_keys) == ["b", "a", "default"]
    alone = Settings.from_env(PRODUCTION | ring | {"JWT_SECRET": ""}).jwt_keys
    assert alone == {"b": NEW, "a": f"with:colon{NEW}"}


@pytest.mark.parametrize("ring", ["short:secret", f":{NEW}", NEW, f"a:{NEW},a:{NEW}", f"default:{NEW}", f"a:{NEW},b:"])
def test_a_ring_of_signing_secrets_that_cannot_be_used_stops_the_start(
    ring: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError):
        Settings.from_env(PRODUCTION | {"JWT_SECRETS": ring})
    said = capsys.readouterr().err
    assert "JWT_SECRETS" in said
    assert NEW not in said


def test_a_short_signing_secret_stops_the_start() -> None:
    with pytest.raises(SettingsError):
        Settings.from_env(PRODUCTION | {"JWT_SECRET": "x" * 31})
