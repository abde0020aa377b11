"""Migrations of the database."""

import click
from alembic import command

from manage.deployment import record, transaction
from manage.groups import ManageCommand, output
from revisions import config, database_revision, newest_revision


@click.command(cls=ManageCommand)
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if the database is behind.")
def migrate(check: bool) -> None:
    """Migrate the database to the newest revision; one migrator at a time, each revision in its own transaction."""
    with transaction() as session:
        before = database_revision(session)
    newest = newest_revision()
    document = {"revision": before, "newest": newest}
    if check:
        output().document(document, f"The database is at revision {before or 'none'}, the newest is {newest}.")
        click.get_current_context().exit(0 if before == newest else 1)
    if before != newest:
        command.upgrade(config(), "head")
        with transaction() as session:
            record(session, "database.migrated", before=before, after=newest)
    output().document(document | {"revision": newest, "before": before}, f"The database is at revision {newest}.")
