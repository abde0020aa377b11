"""The Dockerfile's stages, and what they copy from the checkout; no Docker engine is needed to look."""

import re

import pytest

from tests.deploy.compose import ROOT, SERVICES


def stages() -> dict[str, str]:
    """The stages of the Dockerfile by their names."""
    parts = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    return {match[1]: part for part in parts if (match := re.match(r"\S+ AS (\w+)", part))}


def copied_by(*names: str) -> set[str]:
    """The paths that stages of the Dockerfile copy from the checkout."""
    lines = re.findall(r"^COPY (?!--)(.+)$", "\n".join(stages()[name] for name in names), re.MULTILINE)
    return {word for line in lines for word in line.split()[:-1]}


def test_the_image_holds_the_service_and_nothing_of_the_dev_stack() -> None:
    packages = {"api", "console", "manage", "models", "sandbox", "tasks", "telemetry", "workers", "migrations"}
    scripts = {"agentforge", "backup-daily.sh", "backup.sh", "flower.conf.py", "gunicorn.conf.py"}
    scripts |= {"restore.sh", "restored.sql", "roles.sql"}
    others = {"alembic.ini", "docs/openapi.json", "requirements.txt", "requirements-node.txt"}
    copied = copied_by("packages", "node", "sandbox", "console", "service")
    assert (
        copied == {path.name for path in ROOT.glob("*.py")} | packages | {f"deploy/{name}" for name in scripts} | others
    )
    assert copied_by("simulators") == {"requirements-simulators.txt", "devstack", "simulators"}
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert dockerfile.count("pip install") == dockerfile.count("--require-hashes") == 3
    assert dockerfile.rstrip().endswith("\nFROM service")


@pytest.mark.parametrize("stage", ["service", "backup", "proxy", "site", "pooler", "simulators"])
def test_an_image_ends_as_a_user_without_privileges(stage: str) -> None:
    assert int(re.findall(r"^USER (\w+)$", stages()[stage], re.MULTILINE)[-1]) > 10_000


def test_compose_builds_the_stages_that_there_are() -> None:
    built = {service["build"]["target"] for service in SERVICES.values() if "build" in service}
    assert built == {"service", "backup", "database", "proxy", "site", "pooler"}
    assert built <= set(stages())


def test_the_builder_gets_what_the_image_copies_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == copied_by(*stages())
