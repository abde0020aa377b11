"""A real RabbitMQ of the Debian package on loopback, with all its files in one directory."""

import os
import subprocess
from pathlib import Path

from kombu import Connection

from devstack.processes.process import spawn
from devstack.servers.ports import LOOPBACK, free_port
from devstack.servers.server import Server
from tests.support.servers import debian

PROGRAMS = "/usr/lib/rabbitmq/bin"


class RabbitMq(Server):
    """One node with the user `guest`, which RabbitMQ accepts on loopback only."""

    label = "RabbitMQ"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._names = free_port()  # of epmd, which is started here, because RabbitMQ would leave it running
        self._epmd: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "") -> str:
        """Address of a virtual host."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}/{database}"

    def is_ready(self) -> bool:
        try:
            with Connection(self.url(), connect_timeout=1, transport_options={"read_timeout": 1}) as connection:
                connection.connect()
        except Exception:  # several kinds, while it starts
            return False
        return True

    def stop(self, number: int | None = None, *, seconds: float = 30) -> None:
        super().stop(number, seconds=seconds)
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()

    def _prepare(self) -> list[str]:
        programs = debian.directory(PROGRAMS, package="rabbitmq-server")
        self._start_epmd()
        settings = [f"{name}={value}" for name, value in self._environment().items()]
        return ["/usr/bin/env", *settings, str(programs / "rabbitmq-server")]

    def _start_epmd(self) -> None:
        if self._epmd is None or self._epmd.poll() is not None:
            command = [debian.program("epmd", package="rabbitmq-server"), "-port", str(self._names)]
            env = self._environment()
            self._epmd = spawn([*command, "-address", LOOPBACK], env=env, output=subprocess.DEVNULL, cwd=Path("/"))

    def _environment(self) -> dict[str, str]:
        (self.directory / "enabled_plugins").write_text("[].\n")
        return {
            "PATH": f"{os.defpath}:/usr/sbin:/sbin",
            "HOME": str(self.directory),
            "ERL_EPMD_PORT": str(self._names),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": f"agentforge{self._names}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{{LOOPBACK.replace('.', ',')}}}",
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
        }
