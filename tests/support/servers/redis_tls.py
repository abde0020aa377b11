"""A Redis of the Debian package that accepts TLS only, and three sentinels over a primary and a replica."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from devstack.processes.process import wait_until, write_private
from devstack.servers.ports import LOOPBACK, free_port
from devstack.servers.server import Server
from tests.support.servers import debian
from tests.support.servers.certificates import certificate_for


class DebianRedis(Server):
    """A `redis-server` with extra configuration lines; with a certificate it accepts TLS only."""

    label = "Redis"

    def __init__(self, directory: Path, *lines: str, certificate: Path | None = None, sentinel: bool = False) -> None:
        super().__init__(directory)
        self._lines, self._certificate, self._sentinel = lines, certificate, sentinel

    def url(self, database: str = "0") -> str:
        """Address of the numbered database; over TLS by the name in the certificate."""
        if self._certificate:
            return f"rediss://:{self.password}@localhost:{self.port}/{database}"
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def is_ready(self) -> bool:
        tls = {"ssl": True, "ssl_cert_reqs": "none", "ssl_check_hostname": False} if self._certificate else {}
        login = None if self._sentinel else self.password
        with redis.Redis(port=self.port, password=login, socket_timeout=1, **tls) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def _prepare(self) -> list[str]:
        lines = [f"bind {LOOPBACK}", f'dir "{self.directory}"', "protected-mode no", *self._lines]
        if self._certificate:
            lines += ["port 0", f"tls-port {self.port}", "tls-auth-clients no"]
            lines += [f"tls-{name} {self._certificate}" for name in ("cert-file", "key-file", "ca-cert-file")]
        else:
            lines.append(f"port {self.port}")
        if not self._sentinel:
            lines += [f"requirepass {self.password}", f"masterauth {self.password}", 'save ""']
        config = self.directory / "redis.conf"
        write_private(config, "\n".join(lines) + "\n")
        command = [debian.program("redis-server", package="redis-server"), str(config)]
        return [*command, "--sentinel"] if self._sentinel else command


@contextmanager
def redis_with_tls(directory: Path) -> Iterator[tuple[DebianRedis, Path]]:
    """The server, and the file of the certificate that its clients must trust."""
    directory.mkdir(parents=True, exist_ok=True)
    certificate = certificate_for("localhost", directory)
    with DebianRedis(directory / "redis", certificate=certificate) as server:
        yield server, certificate


class Trio:
    """Three sentinels over two Redis servers with one password."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.primary = stack.enter_context(DebianRedis(directory / "one"))
        two = directory / "two"
        two.mkdir()
        write_private(two / "server.json", f'{{"password": "{self.primary.password}", "port": {free_port()}}}')
        replica_of = f"replicaof {LOOPBACK} {self.primary.port}"
        self.replica = stack.enter_context(DebianRedis(two, replica_of))
        lines = (
            f"sentinel monitor books {LOOPBACK} {self.primary.port} 2",
            f"sentinel auth-pass books {self.primary.password}",
            "sentinel down-after-milliseconds books 1000",
            "sentinel failover-timeout books 3000",
        )
        servers = (DebianRedis(directory / f"sentinel-{n}", *lines, sentinel=True) for n in range(3))
        self.sentinels = [stack.enter_context(server) for server in servers]

    @property
    def url(self) -> str:
        hosts = ",".join(f"{LOOPBACK}:{sentinel.port}" for sentinel in self.sentinels)
        return f"sentinel://:{self.primary.password}@{hosts}/0?master=books"

    def is_settled(self) -> bool:
        """Whether the sentinels have found each other and the replica."""
        with redis.Redis(port=self.sentinels[0].port, decode_responses=True) as client:
            master = client.sentinel_master("books")
        return bool(master["num-other-sentinels"] == 2 and master["num-slaves"] == 1)

    def fail_over(self) -> None:
        """Kill the primary and wait until the other server has replaced it."""
        self.primary.kill()
        with redis.Redis(port=self.sentinels[0].port, decode_responses=True) as client:
            wait_until(
                lambda: client.sentinel_get_master_addr_by_name("books")[1] == self.replica.port,
                seconds=60,
                otherwise=lambda: "The sentinels chose no other primary.",
            )
        time.sleep(0.5)


@contextmanager
def sentinel_trio(directory: Path) -> Iterator[Trio]:
    """All five servers, once the sentinels have found each other."""
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        trio = Trio(directory, stack)
        wait_until(trio.is_settled, seconds=60, otherwise=lambda: "The sentinels do not find each other.")
        yield trio
