"""The deployment files name what exists; no Docker engine is needed to find out."""

import re
import resource
import runpy
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.hub import PLACES
from api.schemas.watching import MOST_SECONDS
from devstack.stack import EXECUTION_QUEUES, OTHER_QUEUES, known_settings
from tasks.queue import QueueName

ROOT = Path(__file__).parent.parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text()
NGINX = (ROOT / "deploy" / "nginx.conf").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "agentforge"}
EVERY_QUEUE = {queue.value for queue in QueueName}


def queues_of(command: list[str]) -> set[str]:
    return set(command[command.index("-Q") + 1].split(",")) if "-Q" in command else set()


def copied_into_image() -> set[str]:
    """What the Dockerfile takes from the checkout."""
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
    assert set(f"{EXECUTION_QUEUES},{OTHER_QUEUES}".split(",")) == EVERY_QUEUE


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_of_ours_is_told_only_what_the_settings_read(name: str) -> None:
    assert set(OURS[name]["environment"]) - {"FLOWER_BASIC_AUTH"} <= known_settings()


def test_every_secret_is_demanded_and_explained() -> None:
    example = (ROOT / "deploy" / "env.example").read_text()
    named = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE))
    demanded = set(re.findall(r"\$\{([A-Z_]+):\?set it in \.env, see deploy/env\.example\}", COMPOSE))
    assert set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)) == named
    assert set(re.findall(r"^([A-Z_]+)=$", example, re.MULTILINE)) - {"CORS_ORIGINS"} == demanded
    assert {name for name in named if re.search("PASSWORD|SECRET|TOKEN|KEYS|AUTH", name)} <= demanded


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nothing_is_published_beyond_this_host(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_redis_keeps_its_messages_and_never_evicts_one() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_the_image_holds_the_service_and_nothing_of_the_dev_stack() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    modules = {path.name for path in ROOT.glob("*.py")} | {"api", "models", "tasks", "workers", "migrations"}
    assert copied_into_image() == modules | {"alembic.ini", "requirements.txt", "deploy/gunicorn.conf.py"}
    assert re.search(r"^USER 10001$", dockerfile, re.MULTILINE)
    assert "--require-hashes" in dockerfile


def test_the_builder_gets_what_the_image_copies_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == copied_into_image()


def test_gunicorn_has_a_thread_for_everybody_who_may_wait_and_enough_for_the_others(monkeypatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/nowhere")
    limits, stack = resource.getrlimit(resource.RLIMIT_NOFILE), threading.stack_size()
    try:
        conf = runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        threading.stack_size(stack)
    assert conf["threads"] >= PLACES + 500
    assert conf["worker_connections"] > conf["threads"]  # the difference is for connections that are kept


def test_the_proxy_waits_longer_than_a_long_poll_and_passes_events_on() -> None:
    events, others = re.findall(r"location (?:~ \S+events\$|/) \{.*?\}", NGINX, re.DOTALL)[::-1]
    assert "proxy_buffering off;" in events
    assert int(re.search(r"proxy_read_timeout (\d+)s", others)[1]) > MOST_SECONDS
