"""The schema's history: up, down and up again, one migrator at a time, and nothing missing at the end."""

import pkgutil
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

import models
from models.base import Base
from models.db import driver_url
from tests.support.database.migrators import migrators, with_concurrent_index

ROOT = Path(__file__).parent.parent
CHANGES_SCHEMA = r"\b(CREATE|ALTER) (UNIQUE )?(TABLE|INDEX)|\bop\.(create|add|alter)_\w+"
CHANGES_DATA = r"\bINSERT INTO \w|\bUPDATE \w+\s+(\w+\s+)?SET\b|\bop\.bulk_insert"


def config(url: str = "") -> Config:
    """Alembic's config for the database at `url`."""
    alembic = Config(str(ROOT / "alembic.ini"))
    alembic.attributes["url"] = url
    return alembic


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(driver_url(url))
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def schema(url: str) -> list[tuple[str, ...]]:
    """Everything that the migrations made, in words."""
    with connected(url) as connection:
        return [
            tuple(map(str, row))
            for query in (
                "SELECT 'column', table_name, column_name, data_type, is_nullable, column_default"
                "  FROM information_schema.columns WHERE table_schema = 'public'",
                "SELECT 'table', relname, reloptions FROM pg_class"
                " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
                "SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
                "SELECT 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE connamespace = 'public'::regnamespace",
                "SELECT 'trigger', tgrelid::regclass, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
                "SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
                "SELECT 'view', viewname, definition FROM pg_views WHERE schemaname = 'public'",
                "SELECT 'template', slug, graph FROM templates" if _has_templates(connection) else "SELECT 'none'",
            )
            for row in sorted(map(tuple, connection.execute(text(query))), key=str)
        ]


def _has_templates(connection: Connection) -> bool:
    return connection.execute(text("SELECT to_regclass('templates') IS NOT NULL")).scalar_one()


def revisions() -> list[str]:
    """All of them, the oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()][::-1]


def test_each_can_be_undone_and_done_again(empty_database: str) -> None:
    before = schema(empty_database)
    steps = []
    for revision in revisions():
        command.upgrade(config(empty_database), revision)
        steps.append(schema(empty_database))
    for expected in reversed([before, *steps[:-1]]):
        command.downgrade(config(empty_database), "-1")
        assert [line for line in schema(empty_database) if "alembic_version" not in str(line)] == [
            line for line in expected if "alembic_version" not in str(line)
        ]
    command.upgrade(config(empty_database), "head")
    assert schema(empty_database) == steps[-1]


def test_leave_nothing_that_the_models_know_and_the_database_does_not(database_url: str) -> None:
    command.check(config(database_url))


def test_make_the_constraints_and_indexes_of_the_models(database_url: str, empty_database: str) -> None:
    """Alembic compares neither CHECKs nor expressions: a migration that lists all words anew may lose one."""
    for module in pkgutil.walk_packages(models.__path__, "models."):  # so that the metadata has every table
        import_module(module.name)
    with connected(empty_database) as connection:
        Base.metadata.create_all(connection)
        meant = constraints_and_indexes(connection)
    with connected(database_url) as connection:
        made = constraints_and_indexes(connection)
    assert len(meant) > 200
    assert made == meant


def constraints_and_indexes(connection: Connection) -> dict[str, str]:
    """Their definitions by table and name, as PostgreSQL spells them.

    Not those of NOT NULL: they keep their names when a column gets another one, and Alembic compares them itself.
    """
    found = connection.execute(
        text("""
            SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint
             WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
               AND conrelid::regclass::text <> 'alembic_version'
            UNION ALL
            SELECT tablename || '.' || indexname, indexdef FROM pg_indexes
             WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        """)
    )
    return dict(found.tuples().all())


def test_are_numbered_and_linear() -> None:
    files = sorted(path.name for path in (ROOT / "migrations" / "versions").glob("*.py"))
    assert [name[:4] for name in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    assert [name[:4] for name in files] == revisions()
    assert ScriptDirectory.from_config(config()).get_heads() == [files[-1][:4]]


@pytest.mark.parametrize("path", sorted((ROOT / "migrations" / "versions").glob("*.py")), ids=lambda path: path.stem)
def test_imports_no_model_and_mixes_no_schema_with_data(path: Path) -> None:
    source = path.read_text()
    assert not re.search(r"^(from|import) (models|settings|api|workers)\b", source, re.MULTILINE)
    changes_schema = bool(re.search(CHANGES_SCHEMA, source))
    changes_data = bool(re.search(CHANGES_DATA, source))
    assert not (changes_schema and changes_data)


def test_by_two_migrators_at_once_do_no_harm(empty_database: str) -> None:
    with migrators(ROOT / "alembic.ini", empty_database) as both:
        said = [migrator.communicate(timeout=60)[1] for migrator in both]
    assert [migrator.returncode for migrator in both] == [0, 0], said
    command.check(config(empty_database))


def test_give_up_rather_than_block_others_with_a_lock(empty_database: str) -> None:
    command.upgrade(config(empty_database), "0001")
    impatient = config(empty_database)
    impatient.attributes["lock_timeout"] = "50ms"
    with connected(empty_database) as other:
        other.execute(text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))
        with pytest.raises(OperationalError, match="lock timeout"):
            command.upgrade(impatient, "0002")
    command.upgrade(impatient, "0002")


@pytest.mark.parametrize("revision", ["9999", "0011"])
def test_say_how_to_replace_a_database_of_other_migrations(empty_database: str, revision: str) -> None:
    """Former migrations had numbers that these have too."""
    with connected(empty_database) as connection, connection.begin():
        connection.execute(text(f"CREATE TABLE alembic_version AS SELECT '{revision}' AS version_num"))
    said = f"to revision {revision} by migrations other than these. For a development database, run `make clean`"
    for action in (command.upgrade, command.downgrade):
        with pytest.raises(CommandError, match=said):
            action(config(empty_database), "base" if action is command.downgrade else "head")


class TestConcurrentIndex:
    """An index on a large table is built while others write to it, which PostgreSQL does outside a transaction."""

    @pytest.fixture
    def ini(self, tmp_path: Path) -> Path:
        """Alembic's config with one more migration."""
        return with_concurrent_index(tmp_path)

    def test_may_be_built_and_dropped_by_a_migration(self, empty_database: str, ini: Path) -> None:
        alembic = Config(str(ini), attributes={"url": empty_database})
        command.upgrade(alembic, "head")
        assert (is_valid_index(empty_database), current_revision(empty_database)) == (True, "9000")
        command.downgrade(alembic, "-1")
        assert is_valid_index(empty_database) is None

    def test_does_not_wait_for_a_migrator_that_waits_for_it(self, empty_database: str, ini: Path) -> None:
        command.upgrade(config(empty_database), "head")
        with connected(empty_database) as writer, migrators(ini, empty_database) as both:
            writer.execute(text("LOCK TABLE users IN ROW EXCLUSIVE MODE"))  # the index has to wait for this
            await_sessions(empty_database, 4)  # of the writer, one that migrates and keeps others away, one kept away
            writer.rollback()
            said = [migrator.communicate(timeout=30)[1] for migrator in both]
        assert [migrator.returncode for migrator in both] == [0, 0], said
        assert is_valid_index(empty_database)


def is_valid_index(url: str) -> bool | None:
    with connected(url) as connection:
        return connection.scalar(
            text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_users_name')")
        )


def current_revision(url: str) -> str:
    with connected(url) as connection:
        return connection.scalar(text("SELECT version_num FROM alembic_version"))


def await_sessions(url: str, number: int) -> None:
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with connected(url) as connection:
        for _ in range(600):
            if connection.scalar(text(others)) >= number:
                return
            connection.rollback()  # within a transaction the count stays the same
            time.sleep(0.05)
    raise TimeoutError(f"fewer than {number} sessions")
