"""docker-compose.yml under Podman 4, which neither waits for health nor checks it without systemd."""

import json
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from devstack.containers.podman import Podman
from devstack.processes.process import DevstackError

ROOT = Path(__file__).parents[2]
PODMAN_COMPOSE = "podman-compose==1.5.0"
_IF_SET = re.compile(r"\$\{([A-Z0-9_]+):\+([^}]*)\}")  # which podman-compose does not know
_SERVICE = "label=com.docker.compose.service"


@dataclass(frozen=True)
class Container:
    """A container of a service, as `podman ps` lists it."""

    name: str
    image: str
    state: str  # running | exited and the like
    started_at: int


class Composition:
    """The services of compose files under a project's name, with the variables of an env file, without `left_out`."""

    def __init__(
        self, podman: Podman, files: Sequence[Path], env_file: Path, *, project: str, left_out: Iterable[str] = ()
    ) -> None:
        self._podman, self._env_file, self.project = podman, env_file, project
        self._files = list(files)
        self._left_out = frozenset(left_out)

    @cached_property
    def services(self) -> dict[str, dict[str, Any]]:
        """The services of all files; of one that several describe, what the first says."""
        found: dict[str, dict[str, Any]] = {}
        for file in self._files:
            found |= {name: one for name, one in _services(file).items() if name not in found}
        return {name: one for name, one in found.items() if name not in self._left_out}

    def targets(self, version: str) -> dict[str, str]:
        """The stages of the Dockerfile that the services need, by the names of their images in this version."""
        builds = [one for one in self.services.values() if "build" in one]
        return {one["image"].replace("${VERSION:-latest}", version): one["build"]["target"] for one in builds}

    def command(self) -> list[str]:
        """The command that stands for `docker compose`, with copies of the files that Podman can use."""
        copies = [word for number, file in enumerate(self._files) for word in ("-f", str(self._copy(number, file)))]
        program = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--from", PODMAN_COMPOSE, "podman-compose"]
        return [*program, "--in-pod=false", "-p", self.project, "--env-file", str(self._env_file), *copies]

    def compose(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Run a command of compose; raises `DevstackError` if it fails."""
        return self._podman.call(*self.command(), *arguments, env=env)

    def up(self) -> None:
        """Start all services in the order of `depends_on`, waiting as it says; returns when all are healthy."""
        order = TopologicalSorter({name: _needs(one) for name, one in self.services.items()})
        for name in order.static_order():
            if name not in self.services:
                continue
            for needed, condition in _needs(self.services[name]).items():
                self.wait(needed, condition)
            self.compose("up", "-d", "--no-deps", "--no-recreate", "--no-build", name)
        for name, service in self.services.items():
            if "test" in service.get("healthcheck", {}):
                self.wait(name, "service_healthy")

    def down(self) -> None:
        """Remove the containers, and the volumes with all data."""
        self.compose("down", "--volumes", "--timeout", "5")

    def wait(self, service: str, condition: str, seconds: float = 180) -> None:
        """Return once the condition is true for all containers of the service; raises `DevstackError`."""
        until = time.monotonic() + seconds
        while not self._is_true(service, condition):
            if time.monotonic() > until:
                raise DevstackError(f"{service} is not {condition} after {seconds:.0f} s:\n{self.logs(service)}")
            time.sleep(1)

    def _is_true(self, service: str, condition: str) -> bool:
        containers = self.containers(service)
        if not containers:
            return False
        if condition == "service_completed_successfully":
            return all(self._exit_status(one) == 0 for one in containers)
        if condition == "service_healthy":
            return all(self._podman.succeeds("healthcheck", "run", one.name) for one in containers)
        return all(one.state == "running" for one in containers)

    def _exit_status(self, container: Container) -> int | None:
        status, code = self._podman.run(
            "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", container.name
        ).split()
        if status == "exited" and int(code):
            raise DevstackError(f"{container.name} ended with status {code}.")
        return int(code) if status == "exited" else None

    def containers(self, service: str = "") -> list[Container]:
        """The containers of a service, or of all."""
        filters = ["--filter", f"label=io.podman.compose.project={self.project}"]
        if service:
            filters += ["--filter", f"{_SERVICE}={service}"]
        rows = json.loads(self._podman.run("ps", "--all", "--format", "json", *filters))
        return [Container(row["Names"][0], row["Image"], row["State"], row["StartedAt"]) for row in rows]

    def logs(self, service: str, lines: int = 30) -> str:
        """The last lines of a service's containers."""
        tail = ("logs", "--tail", str(lines))
        return "\n".join(
            self._podman.call("sh", "-c", f"podman {' '.join(tail)} {one.name} 2>&1", check=False)
            for one in self.containers(service)
        )

    def _copy(self, number: int, file: Path) -> Path:
        """A file without what Podman would misunderstand: dependencies, which `up` waits for, and builds."""
        document = yaml.safe_load(file.read_text())
        for name in self._left_out & set(document["services"]):
            del document["services"][name]
        for service in document["services"].values():
            service.pop("depends_on", None)
            service.pop("build", None)
        copy = self._podman.directory / "tmp" / f"{self.project}-{number}.yml"
        text = yaml.safe_dump(document, sort_keys=False, width=10_000).replace("./deploy/", f"{ROOT}/deploy/")
        set_variables = set(re.findall(r"^([A-Z0-9_]+)=.", self._env_file.read_text(), re.MULTILINE))
        copy.write_text(_IF_SET.sub(lambda match: match[2] if match[1] in set_variables else "", text))
        return copy


def _services(file: Path) -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(file.read_text())["services"])


def _needs(service: dict[str, Any]) -> dict[str, str]:
    """The conditions of a service's start, by the services that they are about."""
    needed = service.get("depends_on", {})
    if isinstance(needed, list):
        return dict.fromkeys(needed, "service_started")
    return {name: how["condition"] for name, how in needed.items()}
