"""A real standby of a `PostgresServer`, made with pg_basebackup."""

import os
import subprocess
from pathlib import Path

import psycopg2

from devstack.servers.postgres import PostgresServer
from devstack.servers.server import CHILD_ENV
from devstack.servers.unprivileged_account import UnprivilegedAccount


class StandbyServer(PostgresServer):
    """Follows `primary` by streaming; `pause` stops what it replays, so that it falls behind."""

    label = "Standby"

    def __init__(self, directory: Path, primary: PostgresServer) -> None:
        super().__init__(directory, durable=False)
        self._primary = primary

    @property
    def password(self) -> str:
        """The primary's, whose users it has."""
        return self._primary.password

    def is_ready(self) -> bool:
        """Whether it accepts connections."""
        try:
            psycopg2.connect(self.url(), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def pause(self) -> None:
        """Replay nothing until `resume`."""
        self._execute_alone("SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        """Catch up."""
        self._execute_alone("SELECT pg_wal_replay_resume()")

    def promote(self) -> None:
        """Make it a primary of its own."""
        self._execute_alone("SELECT pg_promote()")

    def _execute_alone(self, statement: str) -> None:
        connection = psycopg2.connect(self.url())
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    def _init(self, place: UnprivilegedAccount) -> None:
        backup = [str(place.programs / "pg_basebackup"), "--pgdata", str(place.data), "--dbname", self._primary.url()]
        backup += ["--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream"]
        command, env = [*place.prefix, *backup], CHILD_ENV | {"HOME": os.sep}
        done = subprocess.run(command, env=env, capture_output=True, text=True, cwd="/", check=False)
        assert done.returncode == 0, done.stderr
