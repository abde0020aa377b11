"""Migrations of the database."""

from pathlib import Path
from typing import TextIO

import click
from alembic import command
from sqlalchemy import text
from sqlalchemy.orm import Session

from manage.deployment import record, transaction
from manage.groups import ManageCommand, output
from revisions import config, database_revision, is_behind, newest_revision

GRANTS = Path(__file__).parent.parent.parent / "deploy" / "roles.sql"
LOGIN = "agentforge_service"


@click.command(cls=ManageCommand)
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if the database is behind.")
@click.option("--grant", is_flag=True, help="Then give the service's role its privileges, as deploy/roles.sql does.")
@click.option(
    "--login",
    type=click.File(),
    help=f"With --grant: then let the user {LOGIN} of that role sign in with the password in this file.",
)
def migrate(check: bool, grant: bool, login: TextIO | None) -> None:
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
            if login:
                _let_sign_in(session, login.read().strip())
    output().document(document | {"revision": newest, "before": before}, f"The database is at revision {newest}.")


def _let_sign_in(session: Session, password: str) -> None:
    """Create the user of the API and the workers, or change its password; utility statements take no parameters."""
    known = session.scalar(text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :name)"), {"name": LOGIN})
    quoted = session.scalar(text("SELECT quote_literal(:password)"), {"password": password})
    verb = "ALTER" if known else "CREATE"
    session.connection().exec_driver_sql(f"{verb} ROLE {LOGIN} LOGIN PASSWORD {quoted}".replace("%", "%%"))
    session.execute(text(f"GRANT agentforge_app TO {LOGIN}"))
