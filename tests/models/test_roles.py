"""Privileges of the service's database user: rows, but not tables or append-only history."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg2
import psycopg2.errors
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from models.db import SessionFactory, connect, session_scope
from models.services.credits import ledger
from models.services.executions import executions
from models.services.workflows import workflows
from models.tables import User
from tests.support import factories

ROLES = Path(__file__).parent.parent.parent / "deploy" / "roles.sql"


@pytest.fixture
def service(committed_database: str) -> Iterator[str]:
    """Address of a migrated database for a user of the role; the session factory works as that user."""
    with psycopg2.connect(committed_database) as owner, owner.cursor() as cursor:
        cursor.execute(ROLES.read_text())
        cursor.execute(ROLES.read_text())  # as after a later migration
        cursor.execute("DROP ROLE IF EXISTS test_service")
        cursor.execute("CREATE ROLE test_service LOGIN PASSWORD 'of the service' IN ROLE agentforge_app")
    owner.close()
    url = (
        make_url(committed_database)
        .set(username="test_service", password="of the service")
        .render_as_string(hide_password=False)
    )
    engine = connect(url)
    yield url
    engine.dispose()
    SessionFactory.configure(bind=None)


@pytest.fixture
def refused(service: str) -> Callable[[str], None]:
    """Asserts that the database does not let the service do that."""

    def ask(statement: str) -> None:
        with (
            closing(psycopg2.connect(service)) as connection,
            connection.cursor() as cursor,
            pytest.raises(psycopg2.errors.InsufficientPrivilege),
        ):
            cursor.execute(statement)

    return ask


def test_the_service_does_its_work_with_it(service):
    with session_scope() as session:
        assert session.scalar(text("SELECT current_user")) == "test_service"
        user = factories.user(session)
        workflow = factories.workflow(session, user)
        execution = executions.submit(session, user, workflow.id, input="hello")
        user_id, execution_id = user.id, execution.id
    with session_scope() as session:
        owner = session.get_one(User, user_id)
        executions.request_cancel(session, owner, execution_id)
        workflows.delete(session, owner, workflow.id)
        assert ledger.balance(session, user_id).held == 0


def test_an_editor_saves_again_and_again_with_it(service):
    graphs = [factories.chain(factories.node(name)) for name in ("a", "b")]
    editor = uuid4()
    with session_scope() as session:
        owner = factories.user(session)
        workflow = factories.workflow(session, owner)
    for graph in graphs:
        with session_scope() as session:
            saved = workflows.update(session, session.get_one(User, owner.id), workflow.id, graph=graph, editor=editor)
    assert saved.latest_version == 2  # one version for both


def test_it_changes_nothing_of_the_ledgers_past(refused):
    refused("UPDATE credit_transactions SET amount = 1")
    refused("DELETE FROM credit_transactions")
    refused("TRUNCATE credit_transactions CASCADE")


def test_it_changes_no_audit_no_version_and_no_migration(refused):
    refused("UPDATE audit_log SET action = 'nothing'")
    refused("TRUNCATE audit_log")
    refused("UPDATE workflow_versions SET graph = '{}'")
    refused("UPDATE alembic_version SET version_num = '0001'")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "DROP TABLE credit_transactions CASCADE",
        "ALTER TABLE credit_transactions DISABLE TRIGGER ALL",
        "ALTER TABLE users ADD COLUMN hint text",
        "SET session_replication_role = replica",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "COPY users TO PROGRAM 'cat'",
    ],
)
def test_only_the_migrator_changes_what_tables_are(refused, statement):
    refused(statement)


def test_every_table_is_in_reach(service, committed_database):
    """A table that a later migration adds is granted by the next run of the script."""
    with session_scope() as session:
        tables = session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        for table in tables:
            assert session.scalar(text("SELECT has_table_privilege(:table, 'SELECT')"), {"table": table}), table
