"""The settings of the service, read once from the environment into one frozen value.

No other module reads `os.environ`. A process has the settings of its role (roles.py); those of other roles are empty.
In production, secrets that are missing or those of development stop the process at start; all are reported at once.
"""

import base64
import os
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, partial
from io import StringIO
from typing import Self

from models.rules.executions.deadlines import RunTimeLimits
from roles import ProcessRole
from variables import BROKER_SCHEMES, REDIS_SCHEMES, SettingsError, VariableReader

DEVELOPMENT_REDIS = "redis://127.0.0.1:6379/0"
DEVELOPMENT_JWT_SECRET = "development-only-secret-of-32-bytes-or-more"  # noqa: S105  # no secret, and not for production
DEVELOPMENT_KEY = "dev:" + base64.b64encode(b"development-only-encryption-key!").decode()


@dataclass(frozen=True)
class OpenClawSettings:
    """Address, credentials and limits of the OpenClaw gateway."""

    url: str  # ws:// or wss:// for the socket driver, http:// or https:// work too
    token: str = field(repr=False)
    driver: str  # "ws" or "http"
    agent_id: str
    device_key: str  # path of a PEM file with an Ed25519 key; empty on loopback
    max_in_flight: int  # turns at a time of all workers together; the gateway accepts 8
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
    """The Stripe account and the prices of its subscriptions."""

    secret_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)  # more than one while an endpoint's secret is rolled
    publishable_key: str  # with which browsers enter cards; empty if they cannot
    base_url: str  # of a simulator; empty for Stripe itself
    price_premium: str
    price_enterprise: str
    livemode: bool  # whether real money moves; events of the other mode are ignored

    @property
    def tiers(self) -> dict[str, str]:
        """Tiers by the id of their price."""
        return {self.price_premium: "premium", self.price_enterprise: "enterprise"}


@dataclass(frozen=True)
class MessageSettings:
    """Servers for mails and push notifications, and the address that links in mails lead to."""

    smtp_url: str = field(repr=False)  # smtp:// or smtps://, with user and password if need be
    mail_from: str
    expo_url: str
    expo_token: str = field(repr=False)  # empty unless the Expo account requires one
    app_url: str  # where links in mails lead: to the API itself, or to the site that shows its pages
    console_url: str  # of the console, if its pages are to be linked instead; the API's own are at `app_url`


@dataclass(frozen=True)
class Settings:
    """The frozen settings of one process."""

    role: ProcessRole | None  # which process this is; None reads the settings of every role
    environment: str  # development | test | production
    demo_account: str  # "email:password" that sign-in pages offer; in development only
    database_url: str = field(repr=False)
    replica_urls: tuple[str, ...] = field(repr=False)  # of standbys, for lists, statistics and histories; none for none
    redis_url: str = field(repr=False)  # carries change notifications; redis, rediss, unix, sentinel or sentinels
    broker_url: str = field(repr=False)  # of the task queues: a Redis address, amqp or amqps
    limiter_url: str = field(repr=False)  # of the Redis with the rate limits; may be another than the broker's
    jwt_keys: Mapping[str, str] = field(repr=False)  # secrets by id; the first one signs, all of them verify
    encryption_keys: str = field(repr=False)  # "id:base64 of 32 bytes", comma separated, the first one encrypts
    openclaw: OpenClawSettings
    providers: ProviderUrls
    stripe: StripeSettings
    messages: MessageSettings
    egress_allow: tuple[str, ...]  # private hosts that `api_call` may reach, as host or host:port
    welcome_credits: Decimal
    port: int
    metrics_port: int  # of the metrics server, apart from the API; 0 for no metrics server
    metrics_bind: str  # its address: this host, or a network that no proxy forwards from
    worker_metrics_port: int  # of a worker or of beat; 0 for no metrics server
    metrics_directory: str  # where the processes of one server add their metrics; empty for a single process
    trace_endpoint: str  # of an OpenTelemetry collector; empty for no traces
    trace_headers: str = field(repr=False)  # for it, as name=value with commas between
    proxy_hops: int  # reverse proxies in front of the API whose X-Forwarded-For is believed
    proxy_prefix_hops: int  # of them, the nearest ones whose X-Forwarded-Prefix is believed
    cors_origins: tuple[str, ...]
    session_days: int  # for which a session can be refreshed after signing in
    log_format: str  # json | console
    log_level: str  # DEBUG | INFO | WARNING | ERROR
    lease_seconds: float
    heartbeat_seconds: float
    node_threads: int  # provider calls and agent turns in flight per worker process
    presence_seconds: float  # between two heartbeats of a worker; after six without a consumer probe it leaves
    run_limits: RunTimeLimits

    def __post_init__(self) -> None:
        if not 0 < 2 * self.heartbeat_seconds <= self.lease_seconds:
            raise SettingsError("LEASE_SECONDS must be at least twice HEARTBEAT_SECONDS.")
        if self.proxy_prefix_hops > self.proxy_hops:
            raise SettingsError("PROXY_PREFIX_HOPS must not be more than PROXY_HOPS.")
        if self.presence_seconds < 1:
            raise SettingsError("PRESENCE_SECONDS must be at least 1.")

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; raises `SettingsError` (a `SystemExit`) naming every variable that is missing or wrong."""
        read = VariableReader(env)
        redis_url = read.backend("REDIS_URL", read.secret("REDIS_URL", DEVELOPMENT_REDIS), REDIS_SCHEMES)
        broker_url = redis_url or read.secret("BROKER_URL", DEVELOPMENT_REDIS)
        stripe_key = read.secret("STRIPE_SECRET_KEY", "sk_test_development")
        made = partial(
            cls,
            role=read.role,
            environment=read.environment,
            demo_account=read.for_development("DEMO_ACCOUNT"),
            database_url=read.secret("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/agentforge"),
            replica_urls=read.names("DATABASE_REPLICA_URLS"),
            redis_url=redis_url,
            broker_url=read.backend("BROKER_URL", broker_url, BROKER_SCHEMES),
            limiter_url=read.backend("LIMITER_URL", redis_url, REDIS_SCHEMES),
            jwt_keys=read.signing_keys("JWT_SECRETS", "JWT_SECRET", DEVELOPMENT_JWT_SECRET),
            encryption_keys=read.keyring("ENCRYPTION_KEYS", DEVELOPMENT_KEY),
            openclaw=OpenClawSettings(
                url=read.secret("OPENCLAW_URL", "ws://127.0.0.1:18789"),
                token=read.secret("OPENCLAW_TOKEN", "development-token"),
                driver=read.choice("OPENCLAW_DRIVER", "ws", ("ws", "http")),
                agent_id=read.text("OPENCLAW_AGENT_ID", "flow"),
                device_key=read.text("OPENCLAW_DEVICE_KEY", ""),
                max_in_flight=read.whole("OPENCLAW_MAX_IN_FLIGHT", 6),
                deployment_id=read.secret("DEPLOYMENT_ID", "dev"),
                agents=read.names("OPENCLAW_AGENTS"),
            ),
            providers=ProviderUrls(
                openai=read.text("OPENAI_BASE_URL", "https://api.openai.com/v1"),
                anthropic=read.text("ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1"),
                google=read.text("GOOGLE_BASE_URL", "https://generativelanguage.googleapis.com/v1beta"),
            ),
            stripe=StripeSettings(
                secret_key=stripe_key,
                webhook_secrets=read.secrets("STRIPE_WEBHOOK_SECRET", "whsec_development"),
                publishable_key=read.text("STRIPE_PUBLISHABLE_KEY", ""),
                base_url=read.text("STRIPE_API_BASE", ""),
                price_premium=read.text("STRIPE_PRICE_PREMIUM", "price_premium_monthly"),
                price_enterprise=read.text("STRIPE_PRICE_ENTERPRISE", "price_enterprise_monthly"),
                livemode=read.livemode("STRIPE_LIVEMODE", stripe_key),
            ),
            messages=MessageSettings(
                smtp_url=read.secret("SMTP_URL", "smtp://127.0.0.1:1025"),
                mail_from=read.secret("MAIL_FROM", "AgentForge <no-reply@localhost>"),
                expo_url=read.text("EXPO_URL", "https://exp.host"),
                expo_token=read.text("EXPO_ACCESS_TOKEN", ""),
                app_url=read.secret("APP_URL", f"http://127.0.0.1:{read.whole('PORT', 3000)}"),
                console_url=read.text("CONSOLE_URL", ""),
            ),
            egress_allow=read.names("EGRESS_ALLOW"),
            welcome_credits=Decimal(read.whole("WELCOME_CREDITS", 10)),
            port=read.whole("PORT", 3000),
            metrics_port=read.whole("METRICS_PORT", 0),
            metrics_bind=read.text("METRICS_BIND", "127.0.0.1"),
            worker_metrics_port=read.whole("WORKER_METRICS_PORT", 0),
            metrics_directory=read.text("PROMETHEUS_MULTIPROC_DIR", ""),
            trace_endpoint=read.text("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
            trace_headers=read.text("OTEL_EXPORTER_OTLP_HEADERS", ""),
            proxy_hops=read.whole("PROXY_HOPS", 0),
            proxy_prefix_hops=read.whole("PROXY_PREFIX_HOPS", 0),
            cors_origins=read.names("CORS_ORIGINS"),
            session_days=read.whole("SESSION_DAYS", 180),
            log_format=read.choice("LOG_FORMAT", "json", ("json", "console")),
            log_level=read.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
            lease_seconds=read.whole("LEASE_SECONDS", 30),
            heartbeat_seconds=read.whole("HEARTBEAT_SECONDS", 10),
            node_threads=read.whole("NODE_THREADS", 256),
            presence_seconds=read.whole("PRESENCE_SECONDS", 15),
            run_limits=RunTimeLimits(
                timeout=read.whole("RUN_TIMEOUT_SECONDS", RunTimeLimits.timeout),
                max_timeout=read.whole("RUN_TIMEOUT_MAX_SECONDS", RunTimeLimits.max_timeout),
                queue=read.whole("RUN_QUEUE_SECONDS", RunTimeLimits.queue),
            ),
        )
        read.raise_problems()
        return made()


def readable_settings(env: Mapping[str, str] = os.environ) -> tuple[Settings, SettingsError | None]:
    """The settings as far as they can be read, and what is wrong with the others, which are as in development.

    For a diagnosis only: a process starts with all of its settings or not at all.
    """
    usable, problems = dict(env), None
    for _ in range(len(env) + 1):
        try:
            with redirect_stderr(StringIO()):
                return Settings.from_env(usable), problems
        except SettingsError as error:
            problems = problems or error
            usable = {name: value for name, value in usable.items() if name not in error.names}
            usable["AGENTFORGE_ENV"] = "development"
    raise problems or SettingsError("The settings cannot be read.")


@cache
def process_settings() -> Settings:
    """The settings of this process, read from its environment on the first call."""
    return Settings.from_env()
