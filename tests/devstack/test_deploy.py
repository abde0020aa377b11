"""The deployment files name what exists; no Docker engine is needed to find out."""

import json
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.http.console import ASSETS, HSTS, POLICY, PREFIX
from api.live.change_notifier import MAX_SUBSCRIPTIONS
from api.schemas.executions.long_poll import MAX_SECONDS
from devstack.stack import EXECUTION_QUEUES, OTHER_QUEUES
from roles import READS, SECRETS, ProcessRole
from settings import Settings
from tasks.queue import CONSUMED, QueueName

ROOT = Path(__file__).parent.parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text()
NGINX = (ROOT / "deploy" / "nginx.conf").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "agentforge"}
# The ring of secrets goes before the first; a file, for other machines; one host has no standbys.
NOT_IN_COMPOSE = {"JWT_SECRET", "OPENCLAW_DEVICE_KEY", "DATABASE_REPLICA_URLS"}
EXAMPLES = {"JWT_SECRETS": f"a:{'x' * 32}", "ENCRYPTION_KEYS": f"a:{'A' * 43}=", "STRIPE_LIVEMODE": "false"}
OPTIONAL = {"CORS_ORIGINS", "BROKER_URL", "TLS_CA_FILE", "EXPO_ACCESS_TOKEN", "EGRESS_ALLOW"}
OPTIONAL |= {"CONSOLE_URL", "STRIPE_PUBLISHABLE_KEY"}
EVERY_QUEUE = {queue.value for queue in QueueName}


def known_settings() -> set[str]:
    """Names of all variables that `settings.py` reads, asked from itself."""
    asked: set[str] = set()

    class Recorder(Mapping[str, str]):
        def __getitem__(self, key: str) -> str:
            asked.add(key)
            raise KeyError(key)

        def __iter__(self) -> Iterator[str]:
            return iter(())

        def __len__(self) -> int:
            return 0

    Settings.from_env(Recorder())
    return asked


def queues_of(command: list[str]) -> set[str]:
    return set(command[command.index("-Q") + 1].split(",")) if "-Q" in command else set()


def copied_into_image() -> set[str]:
    """The paths that the Dockerfile copies from the checkout."""
    lines = re.findall(r"^COPY (?!--)(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return {word for line in lines for word in line.split()[:-1]}


def test_compose_has_every_process_of_the_architecture() -> None:
    assert set(OURS) == {"migrate", "api", "worker-executions", "worker-billing", "beat", "flower"}
    assert set(SERVICES) - set(OURS) == {"postgres", "redis"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_of_ours_runs_a_command_that_is_installed(name: str) -> None:
    command = OURS[name]["command"]
    assert find_spec(command[0]) is not None
    for word in command:
        if match := re.fullmatch(r"(\w+):app", word):
            assert (ROOT / f"{match[1]}.py").exists()
        if word.endswith(".conf.py"):
            assert (ROOT / word).exists()


def test_every_queue_has_a_worker_in_compose_and_in_the_dev_stack() -> None:
    assert set().union(*(queues_of(service["command"]) for service in OURS.values())) == EVERY_QUEUE
    assert set(EXECUTION_QUEUES.split(",")) == CONSUMED[ProcessRole.WORKER_EXECUTIONS]
    assert set(OTHER_QUEUES.split(",")) == CONSUMED[ProcessRole.WORKER_BILLING]
    assert {role: queues_of(OURS[role]["command"]) for role in CONSUMED} == CONSUMED


def test_the_roles_are_the_services_and_what_they_read_are_the_settings() -> None:
    assert set(OURS) == set(ProcessRole) == set(READS)
    assert frozenset().union(*READS.values()) == known_settings() | {"FLOWER_BASIC_AUTH"}
    assert known_settings() | {"FLOWER_BASIC_AUTH"} >= SECRETS


@pytest.mark.parametrize("role", ProcessRole)
def test_a_service_gets_the_settings_of_its_role_only(role: ProcessRole) -> None:
    told = OURS[role]["environment"]
    assert told["AGENTFORGE_ROLE"] == role
    assert set(told) <= READS[role]
    assert "env_file" not in OURS[role]
    assert READS[role] & SECRETS - set(told) <= NOT_IN_COMPOSE
    assert OURS[role]["command"][0] == "celery" or role in (ProcessRole.API, ProcessRole.MIGRATE)


@pytest.mark.parametrize("role", ProcessRole)
def test_a_process_starts_with_its_settings_and_fails_without_a_secret(role: ProcessRole) -> None:
    told = {name: filled(str(value)) for name, value in OURS[role]["environment"].items()}
    settings = Settings.from_env(told)
    assert settings.role is role
    assert bool(settings.encryption_keys) is (role in {ProcessRole.API, ProcessRole.WORKER_EXECUTIONS})
    assert bool(settings.stripe.secret_key) is (role is ProcessRole.WORKER_BILLING)
    assert bool(settings.jwt_keys) is bool(settings.stripe.webhook_secrets) is (role is ProcessRole.API)
    for name in SECRETS & set(told) - {"BROKER_URL", "LIMITER_URL", "EXPO_ACCESS_TOKEN", "FLOWER_BASIC_AUTH"}:
        with pytest.raises(SystemExit):
            Settings.from_env({key: value for key, value in told.items() if key != name})


def test_the_example_says_which_service_uses_what() -> None:
    example = (ROOT / "deploy" / "env.example").read_text()
    said = {name: set(services.split(", ")) for services, name in re.findall(r"^# \[(.+)\]\n([A-Z_]+)=", example, re.M)}
    assert said == {
        name: {service for service, described in SERVICES.items() if f"${{{name}" in json.dumps(described, default=str)}
        - ({"migrate"} if name == "TLS_CA_FILE" else set())  # it is shown the file, and does not look at it
        for name in re.findall(r"^([A-Z_]+)=", example, re.M)
    }


def filled(value: str) -> str:
    """As Compose fills it in from a file in which everything that is demanded is set."""
    while (next_one := re.search(r"\$\{([A-Z_]+)(?::([?+-])([^${}]*))?\}", value)) is not None:
        name, how, default = next_one.groups()
        value = value.replace(next_one[0], EXAMPLES.get(name, "something") if how == "?" else default * (how == "-"))
    return value


def test_the_proxy_shows_the_console_as_the_api_does() -> None:
    page, assets = (re.search(rf"location \^~ {path} \{{.*?\}}", NGINX, re.DOTALL)[0] for path in (PREFIX, ASSETS))
    assert f'add_header Content-Security-Policy "{POLICY}" always;' in page
    assert 'add_header Cache-Control "no-cache" always;' in page
    assert "immutable" in assets
    for location in (page, assets):
        assert "gzip_static on;" in location
        assert f'add_header Strict-Transport-Security "{HSTS}" always;' in location
        assert "add_header X-Content-Type-Options nosniff always;" in location


def test_every_secret_is_demanded_and_explained() -> None:
    example = (ROOT / "deploy" / "env.example").read_text()
    named = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE))
    demanded = set(re.findall(r"\$\{([A-Z_]+):\?set it in \.env, see deploy/env\.example\}", COMPOSE))
    assert set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)) == named
    assert set(re.findall(r"^([A-Z_]+)=$", example, re.MULTILINE)) - OPTIONAL == demanded
    assert {name for name in named if re.search("PASSWORD|SECRET|TOKEN|KEYS|AUTH", name)} <= demanded | OPTIONAL


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nothing_is_published_beyond_this_host(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_redis_keeps_its_messages_and_never_evicts_one() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_the_image_holds_the_service_and_nothing_of_the_dev_stack() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    packages = {"api", "console", "manage", "models", "sandbox", "tasks", "workers", "migrations"}
    scripts = {
        f"deploy/{name}"
        for name in ("agentforge", "backup.sh", "gunicorn.conf.py", "restore.sh", "restored.sql", "roles.sql")
    }
    others = {"alembic.ini", "docs/openapi.json", "requirements.txt", "requirements-node.txt"}
    assert copied_into_image() == {path.name for path in ROOT.glob("*.py")} | packages | scripts | others
    assert re.search(r"^USER 10001$", dockerfile, re.MULTILINE)
    assert dockerfile.count("pip install") == dockerfile.count("--require-hashes") == 2


def test_the_builder_gets_what_the_image_copies_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == copied_into_image()


def test_the_server_takes_more_connections_than_clients_may_wait() -> None:
    conf = (ROOT / "deploy" / "gunicorn.conf.py").read_text()
    connections = int(re.search(r'"limit_concurrency": ([\d_]+)', conf)[1])
    assert connections >= MAX_SUBSCRIPTIONS + 1000  # the others are kept between two requests


def test_the_proxy_waits_longer_than_a_long_poll_and_passes_events_on() -> None:
    events, others = re.findall(r"location (?:~ \S+events\$|/) \{.*?\}", NGINX, re.DOTALL)[::-1]
    assert "proxy_buffering off;" in events
    assert int(re.search(r"proxy_read_timeout (\d+)s", others)[1]) > MAX_SECONDS
