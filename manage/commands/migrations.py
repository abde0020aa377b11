"""Migrations of the database."""

from pathlib import Path

import click
from alembic import command

from manage.deployment import record, transaction
from manage.groups import ManageCommand, output
from revisions import config, database_revision, is_behind, newest_revision

GRANTS = Path(__file__).parent.parent.parent / "deploy" / "roles.sql"


@click.command(cls=ManageCommand)
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if the database is behind.")
@click.option("--grant", is_flag=True, help="Then give the service's role its privileges, as deploy/roles.sql does.")
def migrate(check: bool, grant: bool) -> None:
    """Migrate the database to the newest revision; one migrator at a time, each revision in its own transaction."""
    with transaction() as session:
        before, behind = database_revision(session), is_behind(session)
    newest = newest_revision()
    document = {"revision": before, "newest": newest}
    if check:
        output().document(document, f"The database is at revision {before or 'none'}, the newest is {newest}.")
        click.get_current_context().exit(1 if behind else 0)
    if before != newest:
        command.upgrade(config(), "head")
        with transaction() as session:
            record(session, "database.migrated", before=before, after=newest)
    if grant:
        with transaction() as session:
            session.connection().exec_driver_sql(GRANTS.read_text())
    output().document(document | {"revision": newest, "before": before}, f"The database is at revision {newest}.")
