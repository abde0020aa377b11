"""A real PgBouncer in transaction mode, in the configuration of its package."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2

from devstack.processes.process import write_private
from devstack.servers.ports import LOOPBACK
from devstack.servers.postgres import PostgresServer
from devstack.servers.server import Server
from tests.support.servers import debian


class PgBouncer(Server):
    """A pool for the server of `database_url`, small, so that clients really share connections."""

    label = "PgBouncer"

    def __init__(self, directory: Path, database_url: str, *, pool_size: int = 20) -> None:
        super().__init__(directory)
        self._target = urlsplit(database_url)
        self._pool_size = pool_size

    def url(self, database: str = "") -> str:
        """Address of a database through the pool; by default the one of `database_url`."""
        name = database or self._target.path.lstrip("/")
        return f"postgresql://{self._target.username}:{self._target.password}@{LOOPBACK}:{self.port}/{name}"

    def is_ready(self) -> bool:
        """Whether a query succeeds."""
        try:
            psycopg2.connect(self.url(), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _prepare(self) -> list[str]:
        users, config = self.directory / "users.txt", self.directory / "pgbouncer.ini"
        write_private(users, f'"{self._target.username}" "{self._target.password}"\n')
        lines = [
            "[databases]",
            f"* = host={self._target.hostname} port={self._target.port}",
            "[pgbouncer]",
            f"listen_addr = {LOOPBACK}",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            "auth_type = scram-sha-256",
            f"auth_file = {users}",
            "pool_mode = transaction",
            "max_client_conn = 500",
            f"default_pool_size = {self._pool_size}",
        ]
        write_private(config, "\n".join(lines) + "\n")
        command = [debian.program("pgbouncer", package="pgbouncer"), str(config)]
        if os.geteuid() != 0:
            return command
        for path in (self.directory, users, config):  # it refuses to run as root
            os.chown(path, 65534, 65534)
        return [command[0], "-u", "nobody", *command[1:]]


FAR_AWAY = "Pacific/Auckland"


@contextmanager
def pool_before_postgres_15(directory: Path) -> Iterator[PgBouncer]:
    """A pool before a server of the Debian package, with an empty database whose default time zone is not UTC."""
    programs = debian.directory("/usr/lib/postgresql/15/bin", package="postgresql-15")
    with PostgresServer(directory / "postgres-15", durable=False, programs=programs) as server:
        direct = server.create_database("pooled")
        with closing(psycopg2.connect(direct)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE pooled SET timezone = '{FAR_AWAY}'")
            cursor.execute("ALTER DATABASE pooled SET default_transaction_isolation = 'repeatable read'")
        with PgBouncer(directory / "pgbouncer", direct) as pool:
            yield pool
