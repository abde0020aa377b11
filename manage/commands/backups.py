"""Backups of the database, and their restore."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from sqlalchemy.exc import OperationalError, ProgrammingError

from manage import programs
from manage.deployment import disconnect, operator, transaction
from manage.groups import ManageCommand, confirm, confirmed, output
from models.services.operations import worker_heartbeats
from models.services.operations.worker_heartbeats import WorkerStatus
from settings import process_settings
from tasks.queue import QueueName

NEXT_STEPS = """Next: `agentforge migrate`, empty Redis, `agentforge reconcile --since MOMENT-OF-THE-BACKUP`, and start
the processes. docs/recovery.md has what users must be told."""
START = """Start PostgreSQL, which recovers by itself, and then run `agentforge restore finish`."""
KEYS = frozenset({"ENCRYPTION_KEYS", "JWT_SECRETS", "JWT_SECRET"})  # backup.sh refuses to run beside them
FINISH = "finish"


@click.command(cls=ManageCommand)
@click.option("--to", "directory", required=True, envvar="BACKUP_DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--keep-days", type=click.IntRange(1), default=30, show_default=True, help="Remove older dumps.")
def backup(directory: Path, keep_days: int) -> None:
    """Back up the database, check the backup, and remove those past their retention.

    With PGBACKREST_STANZA it goes to the repository of pgBackRest, without it is a dump in this directory, which
    also keeps the snapshots of Redis.
    """
    variables = _database() | {"BACKUP_DIR": str(directory.absolute()), "KEEP_DAYS": str(keep_days)}
    answer = programs.run(["sh", "deploy/backup.sh"], variables=variables, without=KEYS)
    made = answer.strip().splitlines()[-1]
    output().document({"file": made}, f"{made} is complete.")


@click.command(cls=ManageCommand)
@click.argument("what", metavar="DUMP|MOMENT|latest|finish")
@click.option("--force", is_flag=True, help="Although workers still report.")
@confirmed
def restore(what: str, force: bool) -> None:
    """Replace the database by a dump, or recover its files to a moment. Stop beat, the workers and the API first.

    A MOMENT like "2026-11-25 03:17:00+00", or `latest`, is recovered from pgBackRest's repository into an empty
    data directory, while PostgreSQL is stopped; once it was started, `finish` does the rest.
    """
    address = _database()
    if what == FINISH:
        answer = programs.run(["sh", "deploy/restore.sh", what], variables=address)
        output().document({"finished": answer.strip()}, NEXT_STEPS)
        return
    if not force and (running := _running_workers()):
        raise click.ClickException(f"These workers still run: {', '.join(running)}. Stop them, or use --force.")
    confirm(f"Replace the database by {what}? Everything that was written since then is lost.")
    disconnect()
    dump = Path(what).absolute()
    programs.run(["sh", "deploy/restore.sh", str(dump) if dump.is_file() else what], variables=address)
    output().document({"restored": what}, NEXT_STEPS if dump.is_file() else START)


def _database() -> dict[str, str]:
    return {"DATABASE_URL": process_settings().database_url, "OPERATOR": operator()}


def _running_workers() -> list[str]:
    """Names of the workers that reported within the last minutes; none for a database that is missing or empty."""
    try:
        with transaction() as session:
            seen = worker_heartbeats.overview(session, QueueName).workers
    except (OperationalError, ProgrammingError):
        return []
    recent = datetime.now(UTC) - timedelta(minutes=2)
    return [one.name for one in seen if one.status is not WorkerStatus.GONE and one.seen_at > recent]
