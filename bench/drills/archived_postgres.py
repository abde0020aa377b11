"""A PostgreSQL whose write-ahead log goes to a repository of pgBackRest, configured by the files in `deploy/postgres`.

It runs the operators' own scripts. pgBackRest and a PostgreSQL that it knows come from Debian's packages, since the
stack's own PostgreSQL is newer than some versions of pgBackRest.
"""

import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path

from devstack.processes.process import DevstackError, write_private
from devstack.servers.postgres import PostgresServer
from devstack.servers.server import CHILD_ENV

ROOT = Path(__file__).parents[2]
STANZA = "agentforge"
_DEBIAN = Path("/usr/lib/postgresql")
_DIRECTORIES = ("repository", "lock", "spool", "sockets", "backups")


def programs() -> Path:
    """The directory of the newest PostgreSQL of Debian; raises `DevstackError` where it or pgBackRest is missing."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found or shutil.which("pgbackrest") is None:
        raise DevstackError("This needs Debian's packages pgbackrest and postgresql-15.")
    return found[-1].parent


class Repository:
    """A repository of pgBackRest on this machine, with the operators' scripts and configuration beside it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.passphrase = secrets.token_hex(32)
        directory.mkdir(parents=True)
        shutil.copytree(ROOT / "deploy", directory / "deploy")

    def own(self, account: int) -> None:
        """Make the directories that pgBackRest writes to, for the account of PostgreSQL."""
        for name in _DIRECTORIES:
            path = self.directory / name
            path.mkdir(mode=0o700, exist_ok=True)
            os.chown(path, account, -1)

    def environment(self, data: Path, port: int) -> dict[str, str]:
        """The variables of pgBackRest for a server; they win over its configuration file."""
        at = {name: str(self.directory / name) for name in _DIRECTORIES}
        options = {
            "STANZA": STANZA,
            "CONFIG": str(self.directory / "deploy/postgres/pgbackrest.conf"),
            "REPO1_PATH": at["repository"],
            "REPO1_CIPHER_PASS": self.passphrase,
            "LOCK_PATH": at["lock"],
            "SPOOL_PATH": at["spool"],
            "PG1_PATH": str(data),
            "PG1_PORT": str(port),
            "PG1_SOCKET_PATH": at["sockets"],
            "PG1_USER": "postgres",
        }
        return CHILD_ENV | {f"PGBACKREST_{name}": value for name, value in options.items()}


class ArchivedPostgres(PostgresServer):
    """A cluster under `directory` that archives to `repository`; it may be restored there before its first start."""

    def __init__(self, directory: Path, repository: Repository, **settings: str) -> None:
        super().__init__(directory, programs=programs())
        self.repository, self._more = repository, settings

    def take_password_of(self, other: PostgresServer) -> None:
        """Know the superuser's password of a cluster that will be restored here."""
        self.directory.mkdir(parents=True, exist_ok=True)
        write_private(self._state_path, json.dumps({"password": other.password}))

    def destroy(self) -> None:
        """kill -9 the server, and delete its data."""
        data = self.place().data
        self.kill()
        shutil.rmtree(data)

    def script(self, name: str, *arguments: str, database: str, **more: str) -> str:
        """Run an operators' script as PostgreSQL's account; return its output. Raises `DevstackError` if it fails.

        `more` variables win over its own, and an empty one removes it.
        """
        place = self.place()
        if "port" not in self._state():
            self._remember_port()
        self.repository.own(place.data.stat().st_uid)
        env = self.repository.environment(place.data, self.port) | {
            "PATH": f"{place.programs}:{os.environ['PATH']}",
            "PGPASSWORD": self.password,
            "DATABASE_URL": self.url(database),
            "BACKUP_DIR": str(self.repository.directory / "backups"),
        }
        env = {key: value for key, value in (env | more).items() if value}
        command = [*place.prefix, "sh", str(self.repository.directory / "deploy" / name), *arguments]
        done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False)
        if done.returncode:
            raise DevstackError(f"{name} failed: {(done.stdout + done.stderr)[-1000:]}")
        return done.stdout

    def _settings(self) -> dict[str, str]:
        """Those of the tests win over those that a host of its own gets."""
        configured = {
            "config_file": str(self.repository.directory / "deploy/postgres/postgresql.conf"),
            "unix_socket_directories": str(self.repository.directory / "sockets"),
        }
        return super()._settings() | configured | self._more

    def _prepare(self) -> list[str]:
        place = self.place()
        self.repository.own(place.data.stat().st_uid)
        self._env = self.repository.environment(place.data, self.port)
        return super()._prepare()
