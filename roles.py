"""The processes of the service and the settings that each of them reads, so that none holds secrets it does not need.

AGENTFORGE_ROLE names the role of a process. Settings outside its list count as unset even if they are given, and
secrets among them are not required. Without a role, as in a shell, every setting is read.
"""

from collections.abc import Mapping
from enum import StrEnum


class ProcessRole(StrEnum):
    """The role of a process: one for each service of docker-compose.yml, under the same name."""

    API = "api"
    WORKER_EXECUTIONS = "worker-executions"
    WORKER_BILLING = "worker-billing"
    BEAT = "beat"
    FLOWER = "flower"
    MIGRATE = "migrate"


SECRETS = frozenset(  # given only to the roles that need them; the addresses contain passwords
    {
        *("DATABASE_URL", "DATABASE_REPLICA_URLS", "REDIS_URL", "BROKER_URL", "LIMITER_URL"),
        *("SMTP_URL", "EXPO_ACCESS_TOKEN"),
        *("JWT_SECRET", "JWT_SECRETS", "ENCRYPTION_KEYS", "OPENCLAW_TOKEN", "OPENCLAW_DEVICE_KEY"),
        *("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "FLOWER_BASIC_AUTH", "OTEL_EXPORTER_OTLP_HEADERS"),
    }
)
# Variables that may name a file with a secret instead of the secret itself; the device key is a path anyway.
FROM_FILES = {f"{name}_FILE": name for name in SECRETS - {"OPENCLAW_DEVICE_KEY"}}
_EVERY = frozenset({"AGENTFORGE_ENV", "AGENTFORGE_ROLE"})
_BROKER = frozenset({"BROKER_URL", "TLS_CA_FILE", "LOG_FORMAT", "LOG_LEVEL"})
_DATA = _BROKER | {"DATABASE_URL", "REDIS_URL"}
_TRACES = frozenset({"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"})
_OWN_METRICS = frozenset({"WORKER_METRICS_PORT", "METRICS_BIND"})
_PRICES = frozenset({"STRIPE_PRICE_PREMIUM", "STRIPE_PRICE_ENTERPRISE", "STRIPE_LIVEMODE"})

READS: Mapping[ProcessRole, frozenset[str]] = {
    ProcessRole.API: _EVERY
    | _DATA
    | _TRACES
    | _PRICES
    | {"JWT_SECRET", "JWT_SECRETS", "SESSION_DAYS", "WELCOME_CREDITS"}
    | {"ENCRYPTION_KEYS"}  # seals users' provider keys and second factors
    | {"STRIPE_WEBHOOK_SECRET", "STRIPE_PUBLISHABLE_KEY", "DEMO_ACCOUNT"}
    | {"DATABASE_REPLICA_URLS"}
    | {"LIMITER_URL", "PROXY_HOPS", "PROXY_PREFIX_HOPS", "CORS_ORIGINS"}
    | {"PORT", "METRICS_PORT", "METRICS_BIND", "PROMETHEUS_MULTIPROC_DIR"}
    | {"RUN_TIMEOUT_SECONDS", "RUN_TIMEOUT_MAX_SECONDS", "RUN_QUEUE_SECONDS"},
    ProcessRole.WORKER_EXECUTIONS: _EVERY
    | _DATA
    | _OWN_METRICS
    | _TRACES
    | {"ENCRYPTION_KEYS", "EGRESS_ALLOW", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_BASE_URL"}
    | {"OPENCLAW_URL", "OPENCLAW_TOKEN", "OPENCLAW_DRIVER", "OPENCLAW_AGENT_ID", "OPENCLAW_AGENTS"}
    | {"OPENCLAW_DEVICE_KEY", "OPENCLAW_MAX_IN_FLIGHT", "DEPLOYMENT_ID"}
    | {"LEASE_SECONDS", "HEARTBEAT_SECONDS", "NODE_THREADS", "PRESENCE_SECONDS"},
    ProcessRole.WORKER_BILLING: _EVERY
    | _DATA
    | _OWN_METRICS
    | _TRACES
    | _PRICES
    | {"STRIPE_SECRET_KEY", "STRIPE_API_BASE"}
    | {"SMTP_URL", "MAIL_FROM", "EXPO_URL", "EXPO_ACCESS_TOKEN", "APP_URL", "CONSOLE_URL", "PORT"}
    | {"RUN_TIMEOUT_SECONDS", "RUN_TIMEOUT_MAX_SECONDS", "RUN_QUEUE_SECONDS"}  # of runs that schedules start
    | {"PRESENCE_SECONDS"},
    ProcessRole.BEAT: _EVERY | _BROKER | _OWN_METRICS,
    ProcessRole.FLOWER: _EVERY | _BROKER | {"FLOWER_BASIC_AUTH"},  # which Flower reads by itself
    ProcessRole.MIGRATE: _EVERY | {"DATABASE_URL"},
}
