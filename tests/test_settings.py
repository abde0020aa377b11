"""Production starts with its secrets or not at all."""

import re
from pathlib import Path

import pytest

from settings import DEVELOPMENT_JWT_SECRET, DEVELOPMENT_KEY, DEVELOPMENT_REDIS, Settings, readable_settings
from variables import SettingsError

KEY = "here:" + "A" * 43 + "="

PRODUCTION = {
    "AGENTFORGE_ENV": "production",
    "DATABASE_URL": "postgresql://db/agentforge",
    "REDIS_URL": "redis://redis/0",
    "JWT_SECRET": "x" * 32,
    "ENCRYPTION_KEYS": KEY,
    "OPENCLAW_URL": "ws://gateway:18789",
    "OPENCLAW_TOKEN": "token",
    "DEPLOYMENT_ID": "here",
    "SMTP_URL": "smtps://mail.example",
    "MAIL_FROM": "AgentForge <no-reply@agentforge.example>",
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


def test_all_missing_secrets_are_reported_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({"AGENTFORGE_ENV": "production", "NODE_THREADS": "many"})
    said = capsys.readouterr().err
    assert said == "".join(f"agentforge: {sentence}\n" for sentence in refused.value.sentences)
    missing = (set(PRODUCTION) - {"AGENTFORGE_ENV", "JWT_SECRET"}) | {"JWT_SECRETS"}
    assert set(re.findall(r"[A-Z_]{5,}", refused.value.sentences[0])) == missing
    assert refused.value.sentences[1:] == ("NODE_THREADS must be a whole number.",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_URL", "smtp://127.0.0.1:1025"),
        ("OPENCLAW_TOKEN", "development-token"),
        ("DEPLOYMENT_ID", "dev"),
        ("ENCRYPTION_KEYS", DEVELOPMENT_KEY),
        ("JWT_SECRET", DEVELOPMENT_JWT_SECRET),
    ],
)
def test_production_refuses_values_for_development(name: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert Settings.from_env({name: value}).environment == "development"
    with pytest.raises(SettingsError):
        Settings.from_env(PRODUCTION | {name: value})
    assert capsys.readouterr().err == f"agentforge: {name} has the value for development, which production refuses.\n"


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


def test_one_signing_secret_is_a_list_of_one() -> None:
    assert Settings.from_env(PRODUCTION).jwt_keys == {"default": "x" * 32}


def test_a_list_of_signing_secrets_goes_before_the_single_one() -> None:
    ring = {"JWT_SECRETS": f" b:{NEW}, a:with:colon{NEW}"}
    assert list(Settings.from_env(PRODUCTION | ring).jwt_keys) == ["b", "a", "default"]
    alone = Settings.from_env(PRODUCTION | ring | {"JWT_SECRET": ""}).jwt_keys
    assert alone == {"b": NEW, "a": f"with:colon{NEW}"}


@pytest.mark.parametrize("ring", ["short:secret", f":{NEW}", NEW, f"a:{NEW},a:{NEW}", f"default:{NEW}", f"a:{NEW},b:"])
def test_unusable_signing_secrets_stop_the_start(ring: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingsError):
        Settings.from_env(PRODUCTION | {"JWT_SECRETS": ring})
    said = capsys.readouterr().err
    assert "JWT_SECRETS" in said
    assert NEW not in said


def test_a_short_signing_secret_stops_the_start() -> None:
    with pytest.raises(SettingsError):
        Settings.from_env(PRODUCTION | {"JWT_SECRET": "x" * 31})


class TestFiles:
    def test_a_secret_may_be_in_a_file_that_a_variable_names(self, tmp_path: Path) -> None:
        (tmp_path / "database_url").write_text("postgresql://db/in-a-file\n")
        (tmp_path / "jwt").write_text(f"a:{NEW}")
        given = {"DATABASE_URL_FILE": str(tmp_path / "database_url"), "JWT_SECRETS_FILE": str(tmp_path / "jwt")}
        settings = Settings.from_env(PRODUCTION | {"DATABASE_URL": "", "JWT_SECRET": ""} | given)
        assert settings.database_url == "postgresql://db/in-a-file"
        assert settings.jwt_keys == {"a": NEW}

    def test_an_empty_file_is_a_missing_secret(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "smtp_url").write_text("\n")
        with pytest.raises(SettingsError):
            Settings.from_env(PRODUCTION | {"SMTP_URL": "", "SMTP_URL_FILE": str(tmp_path / "smtp_url")})
        assert "SMTP_URL is not set" in capsys.readouterr().err

    def test_a_file_that_cannot_be_read_stops_the_start(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SettingsError):
            Settings.from_env(PRODUCTION | {"SMTP_URL": "", "SMTP_URL_FILE": str(tmp_path / "nowhere")})
        assert "SMTP_URL_FILE cannot be read: No such file or directory." in capsys.readouterr().err

    def test_a_secret_that_is_given_twice_stops_the_start(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "token").write_text("other")
        with pytest.raises(SettingsError):
            Settings.from_env(PRODUCTION | {"OPENCLAW_TOKEN_FILE": str(tmp_path / "token")})
        said = capsys.readouterr().err
        assert "OPENCLAW_TOKEN and OPENCLAW_TOKEN_FILE are both set" in said
        assert "other" not in said

    def test_files_of_other_roles_are_not_opened(self, tmp_path: Path) -> None:
        beat = {"AGENTFORGE_ROLE": "beat", "BROKER_URL": "redis://broker/0"}
        given = {"STRIPE_SECRET_KEY_FILE": str(tmp_path / "nowhere"), "STRIPE_SECRET_KEY": ""}
        assert Settings.from_env(PRODUCTION | beat | given).stripe.secret_key == ""

    def test_a_diagnosis_goes_on_without_a_file_with_a_wrong_value(self, tmp_path: Path) -> None:
        (tmp_path / "broker_url").write_text("http://broker")
        settings, problems = readable_settings({"BROKER_URL_FILE": str(tmp_path / "broker_url")})
        assert settings.broker_url == DEVELOPMENT_REDIS
        assert "BROKER_URL must begin with" in problems.sentences[0]


LIVE = {"STRIPE_SECRET_KEY": "rk_live_1", "STRIPE_LIVEMODE": "false"}


class TestRoles:
    def test_what_a_role_does_not_need_is_empty_even_if_it_is_given(self) -> None:
        flower = Settings.from_env(PRODUCTION | {"AGENTFORGE_ROLE": "flower", "BROKER_URL": "redis://broker/0"})
        assert (flower.broker_url, flower.database_url, flower.redis_url) == ("redis://broker/0", "", "")
        assert (flower.encryption_keys, flower.jwt_keys, flower.openclaw.token) == ("", {}, "")
        assert (flower.stripe.secret_key, flower.stripe.webhook_secrets, flower.messages.smtp_url) == ("", (), "")

    def test_there_are_no_others(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SettingsError):
            Settings.from_env({"AGENTFORGE_ROLE": "worker"})
        assert "AGENTFORGE_ROLE must be one of api, worker-executions" in capsys.readouterr().err

    @pytest.mark.parametrize("role", ["beat", "flower"])
    def test_one_without_redis_requires_the_broker(self, role: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SettingsError):
            Settings.from_env(PRODUCTION | {"AGENTFORGE_ROLE": role})
        assert "BROKER_URL is not set" in capsys.readouterr().err

    def test_the_api_requires_livemode_because_it_has_no_key(self, capsys: pytest.CaptureFixture[str]) -> None:
        api = PRODUCTION | {"AGENTFORGE_ROLE": "api"}
        assert Settings.from_env(api | {"STRIPE_LIVEMODE": "true"}).stripe.livemode
        assert not Settings.from_env(api | {"STRIPE_LIVEMODE": "false"}).stripe.livemode
        with pytest.raises(SettingsError):
            Settings.from_env(api)
        assert "STRIPE_LIVEMODE is not set" in capsys.readouterr().err

    @pytest.mark.parametrize("said", [LIVE, {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_LIVEMODE": "true"}])
    def test_a_key_of_the_other_mode_stops_the_start(self, said: dict[str, str]) -> None:
        with pytest.raises(SettingsError):
            Settings.from_env(PRODUCTION | said)
