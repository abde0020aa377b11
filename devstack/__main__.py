"""The stack's command line: `python -m devstack up | down | status | migrate | psql | with-database COMMAND...`."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import make_url

from devstack import control
from devstack.processes.process import DevstackError
from devstack.servers.postgres import postgres_programs, running_postgres
from devstack.stack import DATABASE, Stack


def up(arguments: list[str]) -> int:
    """Run everything, with one log, until Ctrl-C; `--detach` runs it in the background."""
    if "--detach" not in arguments:
        return control.run(control.stack_directory(), os.environ)
    print(f"AgentForge runs.\n{control.ensure_up(control.stack_directory(), os.environ)}\n  `make down` stops it.")
    return 0


def down(_: list[str]) -> int:
    """Stop what `up` or a demo started."""
    print("Stopped." if control.stop(control.stack_directory()) else "Nothing runs.")
    return 0


def status(_: list[str]) -> int:
    """Say whether the stack runs and where; status 1 if it does not."""
    found = control.running(control.stack_directory())
    if found is None or not found.ready:
        print("Nothing runs." if found is None else "It is starting.")
        return 1
    print(found)
    return 0


def migrate(_: list[str]) -> int:
    """Bring the stack's database to the newest revision."""
    with _database() as stack:
        return stack.migrate(sys.stdout.fileno()).wait()


def psql(arguments: list[str]) -> int:
    """Open psql on the stack's database."""
    with _database() as stack:
        url = make_url(stack.database_url())
        command = [str(postgres_programs() / "psql"), url._replace(password=None).render_as_string(), *arguments]
        env = {**os.environ, "PGPASSWORD": url.password or ""}  # not on the command line, which `ps` shows
        return subprocess.run(command, env=env, check=False).returncode


def with_database(command: list[str]) -> int:
    """Run a command with DATABASE_URL naming an empty database that is deleted afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="agentforge-") as directory,
        running_postgres(Path(directory) / "postgres", durable=False) as server,
    ):
        env = {**os.environ, "DATABASE_URL": server.create_database("throwaway")}
        return subprocess.run(command, env=env, check=False).returncode


@contextmanager
def _database() -> Iterator[Stack]:
    """The stack's database server, started for the block if it does not run."""
    stack = Stack(control.stack_directory(), os.environ)
    with stack.postgres or nullcontext():
        if stack.postgres:
            stack.postgres.create_database(DATABASE)
        yield stack


COMMANDS = {
    "up": up,
    "down": down,
    "status": status,
    "migrate": migrate,
    "psql": psql,
    "with-database": with_database,
}


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    name, *rest = arguments or [""]
    if name not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return COMMANDS[name](rest)
    except DevstackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
