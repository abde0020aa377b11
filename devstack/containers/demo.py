"""The demo in containers: docker-compose.yml with simulators, under Docker Compose or, without it, under Podman."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Protocol
from urllib.request import Request, urlopen

from devstack.containers.bases import BaseImages, build
from devstack.containers.compose import ROOT, Composition
from devstack.containers.podman import Podman, reason_against
from devstack.containers.setup import FILES, PublishedPorts, Setup, free_ports
from devstack.demo_user import EMAIL
from devstack.processes.process import DevstackError
from devstack.servers.ports import LOOPBACK

PROJECT = "agentforge-demo"
DIRECTORY = ROOT / "build" / "compose-demo"
STATE = Path(os.environ.get("CONTAINERS_DIR", ROOT / "build" / "containers"))  # of Podman: it keeps the images
_SECONDS = 300.0


class ContainerEngine(Protocol):
    """Starts the services of a setup, and removes them with their data."""

    def up(self, setup: Setup) -> None: ...

    def down(self, setup: Setup) -> None: ...


class Docker:
    """Docker Compose."""

    def up(self, setup: Setup) -> None:
        """Build what is not built, and start everything."""
        self._run(setup, "up", "--build", "--detach")

    def down(self, setup: Setup) -> None:
        """Remove the containers and the volumes."""
        self._run(setup, "down", "--volumes")

    def _run(self, setup: Setup, *arguments: str) -> None:
        files = [word for file in FILES for word in ("-f", str(file))]
        command = ["docker", "compose", "-p", PROJECT, "--env-file", str(setup.env_file), *files, *arguments]
        if subprocess.run(command, check=False, cwd=ROOT).returncode:
            raise DevstackError("Docker Compose failed; see above.")


class PodmanEngine:
    """Podman, whose images are made here if no registry can be reached."""

    def __init__(self) -> None:
        self._podman = Podman(STATE)

    def up(self, setup: Setup) -> None:
        """Build what is not built, and start everything that there is an image for."""
        missing = BaseImages(self._podman, _say).provide()
        composition = self._composition(setup, missing)
        build_images(self._podman, composition, "latest")
        _say("Starting the containers ...")
        composition.up()

    def down(self, setup: Setup) -> None:
        """Remove the containers and the volumes."""
        self._composition(setup, []).down()

    def _composition(self, setup: Setup, missing: list[str]) -> Composition:
        everything = Composition(self._podman, FILES, setup.env_file, project=PROJECT)
        left_out = [name for name, service in everything.services.items() if service["image"] in missing]
        for name in left_out:
            _say(f"{name} is left out: its image cannot be had here.")
        return Composition(self._podman, FILES, setup.env_file, project=PROJECT, left_out=left_out)


def build_images(podman: Podman, composition: Composition, version: str, *more: str) -> None:
    """Build the images of the services from the checkout, as `version`."""
    for name, target in composition.targets(version).items():
        _say(f"Building {name} ...")
        build(podman, ROOT, f"localhost/{name}", "--target", target, *more)


def up() -> int:
    """Start the demo; says where it is."""
    engine, setup = _engine(), _setup()
    engine.up(setup)
    password = setup.secret("demo_password")
    _await_demo_user(setup.address, password)
    mail = f"http://{LOOPBACK}:{setup.ports.mail}"
    _say(
        f"\nConsole  {setup.address}/console/  (sign in as {EMAIL}, password {password})\n"
        f"API      {setup.address}/docs\n"
        f"Flower   {setup.address}/flower/  ({setup.secret('flower_basic_auth').replace(':', ', password ')})\n"
        f"Mails    {mail}\n"
        "Everything keeps running; `make compose-demo-down` removes it with its data."
    )
    return 0


def down() -> int:
    """Remove the demo with its data."""
    setup = _setup()
    _engine().down(setup)
    shutil.rmtree(setup.directory)
    return 0


def _engine() -> ContainerEngine:
    if (
        shutil.which("docker")
        and not subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        return Docker()
    if reason := reason_against():
        raise DevstackError(f"There is no Docker Compose, and Podman cannot stand in for it: {reason}.")
    return PodmanEngine()


def _setup() -> Setup:
    """The setup of the demo that was started, or a new one."""
    env_file = DIRECTORY / "env"
    if env_file.exists():
        found = dict(re.findall(r"^(HTTP|HTTPS|MAIL)_PORT=\S+:(\d+)$", env_file.read_text(), re.MULTILINE))
        ports = PublishedPorts(**{name.lower(): int(port) for name, port in found.items()})
    else:
        ports = free_ports()
    setup = Setup(DIRECTORY, ports, f"http://{LOOPBACK}:{ports.http}")
    setup.write(SITE="plain")
    return setup


def _await_demo_user(address: str, password: str) -> None:
    """Return once the account can be used through nginx.

    Not with `AppClient`, which connects from other addresses of loopback, and those lead into no container.
    """
    body = json.dumps({"email": EMAIL, "password": password}).encode()
    request = Request(f"{address}/api/auth/login", body, {"Content-Type": "application/json"})
    until = time.monotonic() + _SECONDS
    while True:
        try:
            urlopen(request, timeout=10).close()
        except OSError as error:
            if time.monotonic() > until:
                raise DevstackError(f"Nobody can sign in at {address}: {error}") from None
            time.sleep(3)
        else:
            return


def _say(text: str) -> None:
    print(text, flush=True)
