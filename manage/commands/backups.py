"""Backups of the database, and their restore."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from sqlalchemy.exc import OperationalError, ProgrammingError

from manage import programs
from manage.deployment import disconnect, record, transaction
from manage.groups import ManageCommand, confirm, confirmed, output
from models.services.operations import worker_heartbeats
from models.services.operations.worker_heartbeats import WorkerStatus
from settings import process_settings
from tasks.queue import QueueName

NEXT_STEPS = """Next: `agentforge migrate`, empty Redis, `agentforge reconcile --since MOMENT-OF-THE-BACKUP`, and start
the processes. docs/operations.md, "Restoring", has what users must be told."""


@click.command(cls=ManageCommand)
@click.option("--to", "directory", required=True, envvar="BACKUP_DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--keep-days", type=click.IntRange(1), default=30, show_default=True, help="Remove older dumps.")
def backup(directory: Path, keep_days: int) -> None:
    """Dump the database into a directory, check the dump, and remove those past their retention."""
    variables = _database() | {"BACKUP_DIR": str(directory.absolute()), "KEEP_DAYS": str(keep_days)}
    dump = Path(programs.run(["sh", "deploy/backup.sh"], variables=variables).strip().splitlines()[-1])
    size = dump.stat().st_size
    with transaction() as session:
        record(session, "database.backed_up", file=dump.name, bytes=size)
    output().document({"file": str(dump), "bytes": size}, f"{dump}: {size} bytes.")


@click.command(cls=ManageCommand)
@click.argument("dump", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Although workers still report.")
@confirmed
def restore(dump: Path, force: bool) -> None:
    """Replace the database by a dump. Stop beat, the workers and the API first."""
    if not force and (running := _running_workers()):
        raise click.ClickException(f"These workers still run: {', '.join(running)}. Stop them, or use --force.")
    address = _database()
    confirm(f"Replace the database by {dump}? Everything that was written since then is lost.")
    disconnect()
    programs.run(["sh", "deploy/restore.sh", str(dump.absolute())], variables=address)
    with transaction() as session:
        record(session, "database.restored", file=dump.name, restored=datetime.now(UTC).isoformat())
    output().document({"restored": str(dump)}, NEXT_STEPS)


def _database() -> dict[str, str]:
    return {"DATABASE_URL": process_settings().database_url}


def _running_workers() -> list[str]:
    """Names of the workers that reported within the last minutes; none for a database that is missing or empty."""
    try:
        with transaction() as session:
            seen = worker_heartbeats.overview(session, QueueName).workers
    except (OperationalError, ProgrammingError):
        return []
    recent = datetime.now(UTC) - timedelta(minutes=2)
    return [one.name for one in seen if one.status is not WorkerStatus.GONE and one.seen_at > recent]
