"""The commands that run other programs: migrations, backups, restores and reconciliations, each as a process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import make_url

from devstack.servers.postgres import PostgresServer, postgres_programs
from tests.support.stripe.books import Books

ROOT = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


def agentforge(database: str, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as an operator does, with the programs of the tests' PostgreSQL."""
    return subprocess.run(
        [sys.executable, "-m", "manage", *map(str, arguments)],
        cwd=ROOT,
        env={
            "PATH": f"{postgres_programs()}:{os.environ['PATH']}",
            "AGENTFORGE_ENV": "test",
            "DATABASE_URL": database,
            **env,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def query(database: str, statement: str) -> list[tuple[Any, ...]]:
    """Rows of a statement, committed."""
    connection = psycopg2.connect(database)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def test_a_database_is_migrated_once(empty_database: str):
    behind = agentforge(empty_database, "migrate", "--check", "--json")
    assert (behind.returncode, json.loads(behind.stdout)["revision"]) == (1, None)
    first = agentforge(empty_database, "migrate", "--json")
    assert first.returncode == 0, first.stderr
    assert agentforge(empty_database, "migrate", "--check").returncode == 0
    assert "is at revision" in agentforge(empty_database, "migrate").stdout
    newest = json.loads(first.stdout)["newest"]
    assert query(empty_database, "SELECT action, data->>'after' FROM audit_log") == [("database.migrated", newest)]


def test_a_database_of_a_newer_release_is_not_behind(committed_database: str):
    query(committed_database, "UPDATE alembic_version SET version_num = '9999'")
    assert agentforge(committed_database, "migrate", "--check").returncode == 0


def test_migrating_can_also_grant_the_role_of_the_service(committed_database: str):
    may_read = "SELECT has_table_privilege('agentforge_app', 'users', 'SELECT')"
    done = agentforge(committed_database, "migrate", "--grant")
    assert done.returncode == 0, done.stderr
    assert query(committed_database, may_read) == [(True,)]


@pytest.mark.parametrize("password", ["first", "second, with 'quotes' and 100 %"])
def test_migrating_can_let_the_service_sign_in(committed_database: str, tmp_path: Path, password: str):
    (tmp_path / "password").write_text(password + "\n")
    done = agentforge(committed_database, "migrate", "--grant", "--login", tmp_path / "password")
    assert done.returncode == 0, done.stderr
    address = make_url(committed_database).set(username="agentforge_service", password=password)
    service = address.render_as_string(hide_password=False)
    assert query(service, "SELECT count(*) FROM users")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        query(service, "DROP TABLE users")
    query(committed_database, "DROP ROLE agentforge_service")


def test_a_backup_is_restored_onto_a_server_without_our_role(
    committed_database: str, postgres: PostgresServer, tmp_path: Path
):
    grants = (ROOT / "deploy" / "roles.sql").read_text()
    query(committed_database, grants)
    query(committed_database, "INSERT INTO audit_log (id, action) VALUES (gen_random_uuid(), 'before.backup')")
    keys = {"ENCRYPTION_KEYS": f"a:{'A' * 43}="}  # the operator's shell may have them, the backup does not
    done = agentforge(committed_database, "backup", "--to", tmp_path, "--json", **keys)
    assert done.returncode == 0, done.stderr
    dump = Path(json.loads(done.stdout)["file"])
    assert query(committed_database, "SELECT data->>'file' FROM audit_log WHERE action = 'database.backed_up'") == [
        (dump.name,)
    ]
    query(committed_database, "DROP OWNED BY agentforge_app; DROP ROLE agentforge_app")
    new = postgres.create_database("restored")
    assert agentforge(new, "restore", dump).returncode == 1  # nobody said yes
    restored = agentforge(new, "restore", dump, "--yes")
    assert restored.returncode == 0, restored.stderr
    assert query(new, "SELECT action FROM audit_log ORDER BY created_at") == [
        ("before.backup",),
        ("database.restored",),
    ]
    query(new, "DROP OWNED BY agentforge_app; DROP ROLE agentforge_app")
    postgres.drop_database("restored")


def test_a_restore_is_refused_while_workers_run(committed_database: str, tmp_path: Path):
    query(
        committed_database,
        "INSERT INTO workers (name, process, queues, report_interval, last_message_at)"
        " VALUES ('w@host', 'host:1', '[]', 15, now())",
    )
    dump = tmp_path / "postgres.dump"
    dump.write_text("a dump")
    answer = agentforge(committed_database, "restore", dump, "--yes")
    assert (answer.returncode, "w@host" in answer.stderr) == (1, True)


def test_a_dump_that_does_not_exist_is_no_moment(committed_database: str):
    answer = agentforge(committed_database, "restore", "/nowhere/postgres.dump", "--yes", "--force")
    assert (answer.returncode, "/nowhere/postgres.dump is no dump" in answer.stderr) == (1, True)


def test_a_missing_database_is_one_sentence():
    answer = agentforge("postgresql://127.0.0.1:1/nowhere", "workers")
    assert answer.returncode == 3
    assert answer.stderr.startswith("Error: The database is unavailable: ")


def test_a_database_without_tables_is_one_sentence(empty_database: str):
    answer = agentforge(empty_database, "workers")
    assert answer.returncode == 3
    assert answer.stderr.endswith("run `migrate`.\n")


def test_a_role_without_a_database_says_where_to_run_the_command():
    answer = agentforge("", "workers", AGENTFORGE_ROLE="beat")
    assert (answer.returncode, "run this beside the API" in answer.stderr) == (1, True)


@pytest.mark.parametrize("key", ["", "sk_test_wrong"])
def test_a_reconciliation_prints_what_it_compared(books: Books, committed_database: str, key: str):
    answer = agentforge(
        committed_database,
        *("reconcile", "--only", "purchases", "--json"),
        STRIPE_SECRET_KEY=key or books.stripe.secret_key,
        STRIPE_API_BASE=books.stripe.url,
    )
    (run,) = json.loads(answer.stdout)
    assert (run["kind"], run["status"]) == ("purchases", "incomplete" if key else "done")
    assert answer.returncode == (1 if key else 0)
    assert query(committed_database, "SELECT count(*) FROM audit_log WHERE action = 'reconciliation.requested'") == [
        (1,)
    ]
