"""Every knob of the service, read once from the environment into one frozen value.

No other module reads `os.environ`. A missing secret stops a production start with one sentence.
"""

import base64
import binascii
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Self

from models.rules.deadlines import RunLimits

DEVELOPMENT_JWT_SECRET = "development-only-secret-of-32-bytes-or-more"  # noqa: S105  # no secret, and not for production
DEVELOPMENT_KEY = "dev:" + base64.b64encode(b"development-only-encryption-key!").decode()


class SettingsError(SystemExit):
    """A setting is missing or wrong; printed as one sentence, and the process ends with status 1."""

    def __init__(self, sentence: str) -> None:
        sys.stderr.write(f"agentforge: {sentence}\n")
        super().__init__(1)


@dataclass(frozen=True)
class OpenClawSettings:
    """Where the gateway is and how to speak with it."""

    url: str  # ws:// or wss:// for the socket driver, http:// or https:// work too
    token: str = field(repr=False)
    driver: str  # "ws" or "http"
    agent_id: str
    device_key: str  # path of a PEM file with an Ed25519 key; empty on loopback
    max_in_flight: int  # turns at a time per process; keep the sum below the gateway's cap of 8
    deployment_id: str  # prefixes every idempotency key, because keys are global in a gateway
    agents: tuple[str, ...] = ()  # further agents that users may name; any other could be one with a shell


@dataclass(frozen=True)
class ProviderUrls:
    """Base addresses of the AI providers' public APIs."""

    openai: str
    anthropic: str
    google: str


@dataclass(frozen=True)
class StripeSettings:
    """The account at Stripe, and what it sells for us."""

    secret_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)  # more than one while an endpoint's secret is rolled
    base_url: str  # empty but for simulators
    price_premium: str
    price_enterprise: str

    @property
    def livemode(self) -> bool:
        """Whether real money moves; events of the other mode are not ours."""
        return "_live_" in self.secret_key

    @property
    def tiers(self) -> dict[str, str]:
        """The tier that each price stands for."""
        return {self.price_premium: "premium", self.price_enterprise: "enterprise"}


@dataclass(frozen=True)
class MessageSettings:
    """How users are told."""

    smtp_url: str = field(repr=False)  # smtp:// or smtps://, with user and password if need be
    mail_from: str
    expo_url: str
    expo_token: str = field(repr=False)  # empty unless the account demands one
    app_url: str  # where links in mails lead: to the API itself, or to whatever shows its pages


@dataclass(frozen=True)
class Settings:
    """The frozen settings of one process."""

    environment: str  # development | test | production
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)  # broker
    limiter_url: str = field(repr=False)  # rate limits, apart from the broker's data
    jwt_keys: Mapping[str, str] = field(repr=False)  # secrets by id; the first one signs, all of them verify
    encryption_keys: str = field(repr=False)  # "id:base64 of 32 bytes", comma separated, the first one encrypts
    openclaw: OpenClawSettings
    providers: ProviderUrls
    stripe: StripeSettings
    messages: MessageSettings
    egress_allow: tuple[str, ...]  # private hosts that `api_call` may reach, as host or host:port
    welcome_credits: Decimal
    port: int
    metrics_directory: str  # where several processes count together; empty for one that counts for itself
    proxy_hops: int  # reverse proxies in front of the API whose X-Forwarded-For is believed
    cors_origins: tuple[str, ...]
    session_days: int  # after signing in, for which a session can be refreshed
    log_format: str  # json | console
    lease_seconds: float
    heartbeat_seconds: float
    node_threads: int  # node calls in flight per worker process
    presence_seconds: float  # between two words of a worker that it is alive; six without a message and it leaves
    run_limits: RunLimits

    def __post_init__(self) -> None:
        if not 0 < 2 * self.heartbeat_seconds <= self.lease_seconds:
            raise SettingsError("LEASE_SECONDS must be at least twice HEARTBEAT_SECONDS.")
        if self.presence_seconds < 1:
            raise SettingsError("PRESENCE_SECONDS must be at least 1.")

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; raises `SettingsError` (a `SystemExit`) naming the first variable that is wrong."""
        read = _Reader(env)
        redis_url = read.secret("REDIS_URL", "redis://127.0.0.1:6379/0")
        return cls(
            environment=read.environment,
            database_url=read.secret("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/agentforge"),
            redis_url=redis_url,
            limiter_url=read.text("LIMITER_URL", redis_url),
            jwt_keys=read.signing_keys("JWT_SECRETS", "JWT_SECRET", DEVELOPMENT_JWT_SECRET),
            encryption_keys=read.keyring("ENCRYPTION_KEYS", DEVELOPMENT_KEY),
            openclaw=OpenClawSettings(
                url=read.text("OPENCLAW_URL", "ws://127.0.0.1:18789"),
                token=read.secret("OPENCLAW_TOKEN", "development-token"),
                driver=read.choice("OPENCLAW_DRIVER", "ws", ("ws", "http")),
                agent_id=read.text("OPENCLAW_AGENT_ID", "flow"),
                device_key=read.text("OPENCLAW_DEVICE_KEY", ""),
                max_in_flight=read.whole("OPENCLAW_MAX_IN_FLIGHT", 6),
                deployment_id=read.text("DEPLOYMENT_ID", "dev"),
                agents=read.names("OPENCLAW_AGENTS"),
            ),
            providers=ProviderUrls(
                openai=read.text("OPENAI_BASE_URL", "https://api.openai.com/v1"),
                anthropic=read.text("ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1"),
                google=read.text("GOOGLE_BASE_URL", "https://generativelanguage.googleapis.com/v1beta"),
            ),
            stripe=StripeSettings(
                secret_key=read.secret("STRIPE_SECRET_KEY", "sk_test_development"),
                webhook_secrets=read.secrets("STRIPE_WEBHOOK_SECRET", "whsec_development"),
                base_url=read.text("STRIPE_API_BASE", ""),
                price_premium=read.text("STRIPE_PRICE_PREMIUM", "price_premium_monthly"),
                price_enterprise=read.text("STRIPE_PRICE_ENTERPRISE", "price_enterprise_monthly"),
            ),
            messages=MessageSettings(
                smtp_url=read.text("SMTP_URL", "smtp://127.0.0.1:1025"),
                mail_from=read.text("MAIL_FROM", "AgentForge <no-reply@localhost>"),
                expo_url=read.text("EXPO_URL", "https://exp.host"),
                expo_token=read.text("EXPO_ACCESS_TOKEN", ""),
                app_url=read.secret("APP_URL", f"http://127.0.0.1:{read.whole('PORT', 3000)}"),
            ),
            egress_allow=read.names("EGRESS_ALLOW"),
            welcome_credits=Decimal(read.whole("WELCOME_CREDITS", 10)),
            port=read.whole("PORT", 3000),
            metrics_directory=read.text("PROMETHEUS_MULTIPROC_DIR", ""),
            proxy_hops=read.whole("PROXY_HOPS", 0),
            cors_origins=read.names("CORS_ORIGINS"),
            session_days=read.whole("SESSION_DAYS", 180),
            log_format=read.choice("LOG_FORMAT", "json", ("json", "console")),
            lease_seconds=read.whole("LEASE_SECONDS", 30),
            heartbeat_seconds=read.whole("HEARTBEAT_SECONDS", 10),
            node_threads=read.whole("NODE_THREADS", 256),
            presence_seconds=read.whole("PRESENCE_SECONDS", 15),
            run_limits=RunLimits(
                timeout=read.whole("RUN_TIMEOUT_SECONDS", RunLimits.timeout),
                longest_timeout=read.whole("RUN_TIMEOUT_MAX_SECONDS", RunLimits.longest_timeout),
                queue=read.whole("RUN_QUEUE_SECONDS", RunLimits.queue),
            ),
        )


class _Reader:
    """Reads variables by kind; in production, secrets have no defaults."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.environment = self.choice("AGENTFORGE_ENV", "development", ("development", "test", "production"))

    def text(self, name: str, default: str) -> str:
        return self._env.get(name, "").strip() or default

    def secret(self, name: str, development_default: str) -> str:
        value = self._env.get(name, "").strip()
        if not value and self.environment == "production":
            raise SettingsError(f"{name} is not set, and production does not start without it.")
        return value or development_default

    def secrets(self, name: str, development_default: str) -> tuple[str, ...]:
        values = tuple(part.strip() for part in self.secret(name, development_default).split(",") if part.strip())
        if not values:
            raise SettingsError(f"{name} has nothing between its commas.")
        return values

    def signing_keys(self, ring: str, single: str, development_default: str) -> Mapping[str, str]:
        """Secrets by id from a list of id:secret; the single one, if set, comes last under the id `default`."""
        entries = [entry.strip().partition(":") for entry in self._env.get(ring, "").split(",") if entry.strip()]
        keys = {key_id: secret for key_id, _, secret in entries}
        if len(keys) < len(entries) or not all(keys) or "default" in keys:
            raise SettingsError(f"{ring} must be a list of id:secret, no id twice and none called default.")
        if not keys or self._env.get(single, "").strip():
            keys["default"] = self.secret(single, development_default)
        if any(len(secret.encode()) < 32 for secret in keys.values()):
            raise SettingsError(f"{ring if entries else single} must have at least 32 bytes in each secret.")
        return keys

    def keyring(self, name: str, development_default: str) -> str:
        value = self.secret(name, development_default)
        for entry in value.split(","):
            key_id, _, encoded = entry.partition(":")
            try:
                usable = bool(key_id) and len(base64.b64decode(encoded, validate=True)) == 32
            except (binascii.Error, ValueError):
                usable = False
            if not usable:
                raise SettingsError(f"{name} must be a list of id:key, each key 32 bytes in base64.")
        return value

    def whole(self, name: str, default: int) -> int:
        value = self._env.get(name, "").strip()
        if value and not value.isdigit():
            raise SettingsError(f"{name} must be a whole number.")
        return int(value) if value else default

    def names(self, name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self._env.get(name, "").split(",") if part.strip())

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise SettingsError(f"{name} must be one of {', '.join(choices)}.")
        return value
