"""The deployment files name what exists; no Docker engine is needed to find out."""

import json
import re
import subprocess
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
from roles import FROM_FILES, READS, SECRETS, ProcessRole
from settings import Settings
from tasks.queue import CONSUMED, QueueName
from tests.deploy.compose import COMPOSE, DOCUMENT, INSTANCES, ROOT, SERVICES, filled

EXAMPLE = (ROOT / "deploy" / "env.example").read_text()
SECRETS_SCRIPT = ROOT / "deploy" / "secrets.sh"
NGINX = (ROOT / "deploy" / "nginx" / "locations.conf").read_text()
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("agentforge:")}
BY_ROLE = {service["environment"]["AGENTFORGE_ROLE"]: service for service in OURS.values()}
OTHERS = {"postgres", "pgbouncer", "redis", "site", "nginx", "archive", "backup", "prometheus", "grafana"}
ONCE = {"migrate", "site"}
# The ring of secrets goes before the first; a file, for other machines; one host has no standbys and no collector.
NOT_IN_COMPOSE = {"JWT_SECRET", "OPENCLAW_DEVICE_KEY", "DATABASE_REPLICA_URLS", "OTEL_EXPORTER_OTLP_HEADERS"}
ARCHIVE = {"ARCHIVE_S3_BUCKET", "ARCHIVE_S3_ENDPOINT", "ARCHIVE_S3_REGION", "ARCHIVE_CA_FILE"}
OPTIONAL = {"CORS_ORIGINS", "TLS_CA_FILE", "EGRESS_ALLOW", "CONSOLE_URL", "STRIPE_PUBLISHABLE_KEY"} | ARCHIVE
NOT_EXPLAINED = {"SECRETS_DIR"}  # another place for the secrets, for a second stack on one host
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


def told(service: dict[str, Any]) -> set[str]:
    """The settings that a service gets, by themselves or in files."""
    return {FROM_FILES.get(name, name) for name in service["environment"]}


def test_compose_has_every_process_of_the_architecture() -> None:
    assert set(OURS) == {"migrate", "worker-executions", "worker-billing", "beat", "flower"} | INSTANCES
    assert set(SERVICES) - set(OURS) == OTHERS
    assert OURS["api-1"] == OURS["api-2"] == OURS["api-3"]


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_of_ours_runs_a_command_that_is_installed(name: str) -> None:
    command = OURS[name]["command"]
    assert find_spec(command[0]) is not None or (ROOT / "deploy" / command[0]).exists()  # copied into PATH
    for word in command:
        if match := re.fullmatch(r"(\w+):app", word):
            assert (ROOT / f"{match[1]}.py").exists()
        if word.endswith(".conf.py"):
            assert (ROOT / word.removeprefix("--conf=")).exists()


def test_every_queue_has_a_worker_in_compose_and_in_the_dev_stack() -> None:
    assert set().union(*(queues_of(service["command"]) for service in OURS.values())) == EVERY_QUEUE
    assert set(EXECUTION_QUEUES.split(",")) == CONSUMED[ProcessRole.WORKER_EXECUTIONS]
    assert set(OTHER_QUEUES.split(",")) == CONSUMED[ProcessRole.WORKER_BILLING]
    assert {role: queues_of(BY_ROLE[role]["command"]) for role in CONSUMED} == CONSUMED


def test_the_roles_are_the_services_and_what_they_read_are_the_settings() -> None:
    assert set(BY_ROLE) == set(ProcessRole) == set(READS)
    assert frozenset().union(*READS.values()) == known_settings() - set(FROM_FILES) | {"FLOWER_BASIC_AUTH"}
    assert known_settings() | {"FLOWER_BASIC_AUTH"} >= SECRETS
    assert known_settings() | {"FLOWER_BASIC_AUTH_FILE"} >= set(FROM_FILES)


@pytest.mark.parametrize("role", ProcessRole)
def test_a_service_gets_the_settings_of_its_role_only(role: ProcessRole) -> None:
    service = BY_ROLE[role]
    assert told(service) <= READS[role]
    assert "env_file" not in service
    assert READS[role] & SECRETS - told(service) <= NOT_IN_COMPOSE
    assert service["command"][0] == "celery" or role in (ProcessRole.API, ProcessRole.MIGRATE)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_given_secrets_in_files_and_those_that_it_reads(name: str) -> None:
    service = json.dumps({key: value for key, value in SERVICES[name].items() if key != "secrets"}, default=str)
    read = set(re.findall(r"/run/secrets/(\w+)", service))
    if (script := {"nginx": "nginx/tls.conf", "pgbouncer": "pgbouncer/start.sh"}.get(name)) is not None:
        read |= set(re.findall(r"/run/secrets/(\w+)", (ROOT / "deploy" / script).read_text()))
    assert read == set(SERVICES[name].get("secrets", ()))
    assert not set(SERVICES[name].get("environment", ())) & SECRETS


def test_the_script_makes_or_demands_every_secret(tmp_path: Path) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(["sh", SECRETS_SCRIPT, tmp_path / "secrets"], capture_output=True, text=True, check=False)

    first = run()
    assert first.returncode == 1
    demanded = first.stderr.splitlines()[-1].rpartition(": ")[2].split()
    for name in demanded:
        assert re.search(rf"^# +{name} ", EXAMPLE, re.MULTILINE)
        (tmp_path / "secrets" / name).write_text("something")
    made = {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == set(DOCUMENT["secrets"])
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert run().returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()} == made
    for name, source in DOCUMENT["secrets"].items():
        assert source == {"file": f"${{SECRETS_DIR:-./secrets}}/{name}"}


def test_the_script_names_an_address_that_the_pooler_would_refuse(secrets: Path) -> None:
    (secrets / "database_url").unlink()
    (secrets / "database_url").write_text("postgresql://agentforge:owner@pgbouncer:6432/agentforge")
    refused = subprocess.run(["sh", SECRETS_SCRIPT, secrets], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "remove it and run this again" in refused.stderr
    (secrets / "database_url").unlink()
    assert subprocess.run(["sh", SECRETS_SCRIPT, secrets], capture_output=True, check=False).returncode == 0
    assert (secrets / "database_url").read_text().startswith("postgresql://agentforge_service:")


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A directory of complete secrets."""
    directory = tmp_path / "secrets"
    subprocess.run(["sh", SECRETS_SCRIPT, directory], capture_output=True, check=False)
    for name in ("stripe_secret_key", "stripe_webhook_secret", "openclaw_token", "smtp_url"):
        (directory / name).write_text("smtps://mail.example" if name == "smtp_url" else "something\n")
    return directory


@pytest.mark.parametrize("role", ProcessRole)
def test_a_process_starts_with_its_settings_and_fails_without_a_secret(role: ProcessRole, secrets: Path) -> None:
    env = {name: filled(str(value)) for name, value in BY_ROLE[role]["environment"].items()}
    env = {name: value.replace("/run/secrets", str(secrets)) for name, value in env.items()}
    settings = Settings.from_env(env)
    assert settings.role is role
    assert bool(settings.encryption_keys) is (role in {ProcessRole.API, ProcessRole.WORKER_EXECUTIONS})
    assert bool(settings.stripe.secret_key) is (role is ProcessRole.WORKER_BILLING)
    assert bool(settings.jwt_keys) is bool(settings.stripe.webhook_secrets) is (role is ProcessRole.API)
    optional = {"BROKER_URL_FILE", "LIMITER_URL_FILE", "EXPO_ACCESS_TOKEN_FILE", "FLOWER_BASIC_AUTH_FILE"}
    for name in set(FROM_FILES) & set(env) - optional:
        with pytest.raises(SystemExit):
            Settings.from_env({key: value for key, value in env.items() if key != name})


def test_the_example_says_which_service_uses_what() -> None:
    said = {
        name: set(services.split(", ")) for services, name in re.findall(r"^# \[(.+)\]\n([A-Z0-9_]+)=", EXAMPLE, re.M)
    }
    assert said == {
        name: {service for service, described in SERVICES.items() if f"${{{name}" in json.dumps(described, default=str)}
        - ({"migrate"} if name == "TLS_CA_FILE" else set())  # it is shown the file, and does not look at it
        for name in re.findall(r"^([A-Z0-9_]+)=", EXAMPLE, re.M)
    }


def test_the_proxy_shows_the_console_as_the_api_does() -> None:
    page, assets = (re.search(rf"location \^~ {path} \{{.*?\}}", NGINX, re.DOTALL)[0] for path in (PREFIX, ASSETS))
    assert f'add_header Content-Security-Policy "{POLICY}" always;' in page
    assert 'add_header Cache-Control "no-cache" always;' in page
    assert "immutable" in assets
    for location in (page, assets):
        assert "gzip_static on;" in location
        assert "gzip_vary on;" in location
        assert f'add_header Strict-Transport-Security "{HSTS}" always;' in location
        assert "add_header X-Content-Type-Options nosniff always;" in location


def test_every_setting_is_explained_and_the_necessary_are_demanded() -> None:
    named = set(re.findall(r"\$\{([A-Z0-9_]+)", COMPOSE)) - NOT_EXPLAINED
    demanded = set(re.findall(r"\$\{([A-Z0-9_]+):\?set it in \.env, see deploy/env\.example\}", COMPOSE))
    assert set(re.findall(r"^([A-Z0-9_]+)=", EXAMPLE, re.MULTILINE)) == named
    assert set(re.findall(r"^([A-Z0-9_]+)=$", EXAMPLE, re.MULTILINE)) - OPTIONAL == demanded
    assert [name for name in named if re.search("PASSWORD|SECRET|TOKEN|KEYS|AUTH|_URL$", name)] == [
        name for name in named if name in {"OPENCLAW_URL", "APP_URL", "CONSOLE_URL"}
    ]


def test_only_nginx_is_reached_from_the_network() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert all(service.get("network_mode") is None for service in SERVICES.values())


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_is_limited_and_looked_after(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert (service["init"], service["read_only"], service["cap_drop"]) == (True, True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    without = ONCE | {"worker-executions", "worker-billing", "beat"}  # workers look after themselves
    assert ("test" in service["healthcheck"]) is (name not in without)


def test_what_a_service_waits_for_can_happen() -> None:
    for service in SERVICES.values():
        needed = service.get("depends_on", {})
        for name, how in needed.items() if isinstance(needed, dict) else ():
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[name]["healthcheck"]
            else:
                assert how["condition"] == ("service_completed_successfully" if name in ONCE else "service_started")


def test_the_pooler_stands_before_all_but_migrations_and_backups() -> None:
    direct = {name for name, service in SERVICES.items() if "owner_database_url" in service.get("secrets", ())}
    assert direct == {"migrate", "backup"}
    pooled = {name for name, service in SERVICES.items() if "database_url" in service.get("secrets", ())}
    assert pooled == {"worker-executions", "worker-billing"} | INSTANCES
    config = (ROOT / "deploy" / "pgbouncer" / "pgbouncer.ini").read_text()
    assert "pool_mode = transaction" in config
    pool = int(re.search(r"default_pool_size = (\d+)", config)[1])
    connections = next(word for word in SERVICES["postgres"]["command"] if word.startswith("max_connections="))
    assert pool + 20 < int(connections.partition("=")[2])


def test_the_demo_adds_simulators_and_changes_no_secret() -> None:
    demo = yaml.safe_load((ROOT / "docker-compose.demo.yml").read_text())
    added = {name for name in demo["services"] if name not in SERVICES}
    assert added == {"openclaw", "stripe", "ai", "mail", "demo-user"}
    assert set(demo["secrets"]) == {"demo_password", "mail_certificate", "mail_key"}
    for name in set(demo["services"]) - added:
        assert set(demo["services"][name]) <= {"environment", "secrets"}
        assert not set(demo["services"][name]["environment"]) & SECRETS
    assert [name for name, service in demo["services"].items() if "ports" in service] == ["mail"]


def test_grafana_is_provisioned_with_the_dashboards_and_their_source() -> None:
    folder = ROOT / "deploy" / "grafana"
    (source,) = yaml.safe_load((folder / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((folder / "provisioning" / "dashboards" / "agentforge.yml").read_text())["providers"]
    assert f'"uid": "{source["uid"]}"' in (folder / "service.json").read_text()
    assert source["url"] == "http://prometheus:9090"
    assert f"./deploy/grafana:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]
    assert "./deploy/grafana/provisioning:/etc/grafana/provisioning:ro" in SERVICES["grafana"]["volumes"]


def test_redis_keeps_its_messages_and_never_evicts_one() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_the_server_takes_more_connections_than_clients_may_wait() -> None:
    conf = (ROOT / "deploy" / "gunicorn.conf.py").read_text()
    connections = int(re.search(r'"limit_concurrency": ([\d_]+)', conf)[1])
    assert connections >= MAX_SUBSCRIPTIONS + 1000  # the others are kept between two requests


def test_the_proxy_waits_longer_than_a_long_poll_and_passes_events_on() -> None:
    events, others = re.findall(r"location (?:~ \S+events\$|/) \{.*?\}", NGINX, re.DOTALL)[::-1]
    assert "proxy_buffering off;" in events
    assert int(re.search(r"proxy_read_timeout (\d+)s", others)[1]) > MAX_SECONDS
