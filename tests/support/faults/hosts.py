"""Several hosts on one machine: network namespaces with an address each, joined by a switch that can be unplugged.

Linux only, and as root. Whatever is sent to a host that is unplugged is lost without a word, as with a pulled cable:
nobody is told that a connection is gone.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devstack.servers.ports import free_port
from devstack.servers.postgres import PostgresServer
from devstack.servers.redis_server import RedisServer
from devstack.stack import is_up
from tests.support.faults.deployment import world_around
from tests.support.faults.programs import Program
from tests.support.faults.world import World


@dataclass(frozen=True)
class Host:
    """A namespace on the switch."""

    name: str
    address: str
    port: str  # the switch's end of its cable

    @property
    def enter(self) -> list[str]:
        """The command that runs another one on this host."""
        return ["nsenter", f"--net=/run/netns/{self.name}"]


class Network:
    """Use `running_network`."""

    def __init__(self) -> None:
        self._prefix = f"af{os.getpid()}"
        self._switch = f"{self._prefix}-switch"
        self._subnet = f"10.203.{os.getpid() % 250}"
        self._number = 0
        self.outside = f"{self._subnet}.254"  # this machine's own address on the switch

    def unplug(self, host: Host) -> None:
        """Cut a host off from all others."""
        self._on_switch("link", "set", host.port, "down")

    def plug_in(self, host: Host) -> None:
        """Join a host that was cut off."""
        self._on_switch("link", "set", host.port, "up")

    def host(self, name: str) -> Host:
        """Add a host."""
        self._number += 1
        host = Host(f"{self._prefix}-{name}", f"{self._subnet}.{self._number}", f"port{self._number}")
        _ip("netns", "add", host.name)
        self._cable(host.port, "eth0", ["netns", host.name])
        inside = partial(_ip, "-n", host.name)
        inside("link", "set", "lo", "up")
        inside("addr", "add", f"{host.address}/24", "dev", "eth0")
        inside("link", "set", "eth0", "up")
        return host

    def set_up(self) -> None:
        """Make the switch, and join this machine to it."""
        _ip("netns", "add", self._switch)
        self._on_switch("link", "add", "bridge", "type", "bridge")
        self._on_switch("link", "set", "bridge", "up")
        self._cable("port254", self._prefix, ["netns", str(os.getpid())])
        _ip("addr", "add", f"{self.outside}/24", "dev", self._prefix)
        _ip("link", "set", self._prefix, "up")

    def tear_down(self) -> None:
        """Remove all namespaces, and the cables with them."""
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
        for name in (line.split()[0] for line in listed.splitlines()):
            if name.startswith(f"{self._prefix}-"):
                subprocess.run(["ip", "netns", "delete", name], check=False)

    def _cable(self, port: str, end: str, where: Sequence[str]) -> None:
        """Join a host to the switch: `port` there, `end` at the host."""
        self._on_switch("link", "add", port, "type", "veth", "peer", "name", end)
        self._on_switch("link", "set", end, *where)
        self._on_switch("link", "set", port, "master", "bridge", "up")

    def _on_switch(self, *words: str) -> None:
        _ip("-n", self._switch, *words)


class HostsWorld(World):
    """A world whose programs run on the host in `place`."""

    place: Host
    network: Network

    def api(self) -> tuple[Program, str]:
        """Start an API as in production; return its address."""
        host, port = self.place.address, free_port()
        command = [
            "gunicorn",
            "-c",
            "deploy/gunicorn.conf.py",
            "--workers",
            "1",
            "--bind",
            f"{host}:{port}",
            "asgi:app",
        ]
        ready = partial(is_up, port, "/health/live", host)
        return self._start(f"api{self._number()}", command, lambda _: ready()), f"http://{host}:{port}"

    def _enter(self) -> list[str]:
        return self.place.enter


def missing() -> str:
    """What this machine lacks for hosts of its own, as a sentence; empty if nothing."""
    if os.geteuid() != 0:
        return "Namespaces of hosts are made as root."
    if not (shutil.which("ip") and shutil.which("nsenter")):
        return "The programs ip and nsenter are missing."
    made = subprocess.run(["ip", "netns", "add", "af-try"], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "delete", "af-try"], capture_output=True, check=False)
    return f"No network namespace can be made here: {made.stderr.strip()}" if made.returncode else ""


@contextmanager
def running_network() -> Iterator[Network]:
    """A switch without hosts, removed with all its hosts at the end of the block."""
    network = Network()
    try:
        network.set_up()
        yield network
    finally:
        network.tear_down()


@contextmanager
def running_hosts(directory: Path) -> Iterator[tuple[HostsWorld, Host, Host, Host]]:
    """Three hosts: two for programs of ours, and one with the database and Redis. The world outside is this process."""
    with ExitStack() as held:
        network = held.enter_context(running_network())
        first, second, data = (network.host(name) for name in ("one", "two", "data"))
        there = {"host": data.address, "enter": data.enter}
        postgres = held.enter_context(PostgresServer(directory / "postgres", **there))
        redis = held.enter_context(RedisServer(directory / "redis", **there))
        around = world_around(directory, postgres, redis, kind=HostsWorld, outside_at=network.outside)
        world = held.enter_context(around)
        world.network, world.place = network, first
        yield world, first, second, data


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
