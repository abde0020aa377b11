"""The stack of docker-compose.yml in containers of Podman, for the tests of this folder."""

import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from devstack.app_client import FINAL_STATUSES, AppClient, AppClientError
from devstack.containers.bases import BaseImages
from devstack.containers.compose import Composition, Container
from devstack.containers.demo import STATE, build_images
from devstack.containers.podman import Podman, reason_against
from devstack.containers.setup import FILES, PublishedPorts, Setup
from devstack.servers.ports import LOOPBACK, free_port

PROJECT = "agentforge-test"
ONCE = {"migrate", "site", "demo-user"}


def say(text: str) -> None:
    """Print a step of the long run."""
    sys.stdout.write(f"[{time.strftime('%H:%M:%S')}] {text}\n")
    sys.stdout.flush()


@dataclass
class ContainerStack:
    """The running containers, as an operator and a client see them."""

    podman: Podman
    composition: Composition
    setup: Setup
    missing: list[str]  # images that cannot be had here

    def url(self, path: str = "") -> str:
        return f"{self.setup.address}{path}"

    @property
    def mail(self) -> str:
        return f"http://{LOOPBACK}:{self.setup.ports.mail}"

    def execute(self, service: str, *command: str) -> str:
        """Run a command in the first container of a service; returns its output."""
        return self.podman.run("exec", self.composition.containers(service)[0].name, *command)

    def query(self, sql: str, container: str = "") -> str:
        """One value, of the stack's database or of that in another container."""
        name = container or self.composition.containers("postgres")[0].name
        return self.podman.run("exec", name, "psql", "-U", "agentforge", "-tAc", sql).strip()

    def kill(self, container: Container) -> None:
        """End a container's first process as the kernel does for lack of memory: the engine is not told why."""
        os.kill(int(self.podman.run("inspect", "--format", "{{.State.Pid}}", container.name)), signal.SIGKILL)

    def restarted(self, container: Container) -> bool:
        """Whether the engine has started it again since it was listed."""
        now = next(one for one in self.composition.containers() if one.name == container.name)
        return now.state == "running" and now.started_at > container.started_at

    def app(self, name: str) -> AppClient:
        """A new account with its welcome credits."""
        app = AppClient(self.url())
        app.verify(self.mail, app.register(f"{name}@example.com", "a long password", name)["email"])
        return app


@contextmanager
def running_containers() -> Iterator[ContainerStack]:
    """Everything built and started, and removed at the end; skips the test with a reason where that cannot be."""
    if reason := reason_against():
        pytest.skip(f"Containers cannot run here: {reason}.")
    podman = Podman(STATE)
    missing = BaseImages(podman, say).provide()
    env_file = STATE / PROJECT / "env"
    everything = Composition(podman, FILES, env_file, project=PROJECT)
    left_out = [name for name, service in everything.services.items() if service["image"] in missing]
    for name in left_out:
        say(f"{name} is left out: {everything.services[name]['image']} cannot be had here.")
    composition = Composition(podman, FILES, env_file, project=PROJECT, left_out=left_out)
    build_images(podman, composition, "1")
    ports = PublishedPorts(free_port(), free_port(), free_port())
    setup = Setup(env_file.parent, ports, f"https://localhost:{ports.https}")
    setup.write(VERSION="1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(setup.secrets / "tls_certificate"))
        try:
            began = time.monotonic()
            composition.up()
            say(
                f"{len(composition.containers())} containers run and are healthy after {time.monotonic() - began:.0f} s"
            )
            yield ContainerStack(podman, composition, setup, missing)
        finally:
            composition.down()


def finished(app: AppClient, execution_id: str, seconds: float = 240) -> dict:
    """The run's last state; its client goes on when a response fails, as the app does."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            for state in app.watch(execution_id):
                if state["status"] in FINAL_STATUSES:
                    return state
        except (OSError, AppClientError):
            time.sleep(0.5)
    return pytest.fail(f"the run is not over after {seconds:.0f} s")


@dataclass
class Visitor:
    """A client that sends nginx a request for the API ten times a second, until the end of its block."""

    url: str
    token: str
    body: bytes | None = None  # of a POST, which a proxy must not send twice
    statuses: Counter[int] = field(default_factory=Counter)  # 0 for no response
    failures: list[tuple[float, str]] = field(default_factory=list)  # when, and what was wrong
    slowest: float = 0.0  # of the others

    @contextmanager
    def asking(self) -> Iterator["Visitor"]:
        over = threading.Event()
        thread = threading.Thread(target=self._ask, args=(over,))
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    def _ask(self, over: threading.Event) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        while not over.wait(0.1):
            began = time.time()
            try:
                with urlopen(Request(self.url, self.body, headers), timeout=60) as answer:
                    self._count(answer.status, began)
            except HTTPError as error:
                with error:
                    self._count(error.code, began, error.read(300).decode())
            except OSError as error:
                self._count(0, began, repr(error))

    def _count(self, code: int, began: float, wrong: str = "") -> None:
        self.statuses[code] += 1
        if code not in {200, 429}:  # it may ask too often
            self.failures.append((began, wrong))
        else:
            self.slowest = max(self.slowest, time.time() - began)

    def failed_within(self, begin: float, end: float) -> list[str]:
        """What was wrong with the requests that began in that time."""
        return [wrong for at, wrong in self.failures if begin <= at <= end]

    def __str__(self) -> str:
        return f"{dict(self.statuses)}, the slowest in {self.slowest:.1f} s"


def status(request: Request | str) -> int:
    """The status of the response, 0 without one."""
    try:
        with urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def memory_of(limit: str) -> int:
    """The bytes of a limit such as `512m`."""
    number, unit = re.fullmatch(r"(\d+)([mg])", limit).groups()
    return int(number) * (2**20 if unit == "m" else 2**30)
