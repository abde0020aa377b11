"""The schema's history: up, down and up again, one migrator at a time, and nothing missing at the end."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from models.db import driver_url

ROOT = Path(__file__).parent.parent


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
                "SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
                "SELECT 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE connamespace = 'public'::regnamespace",
                "SELECT 'trigger', tgrelid::regclass, tgname FROM pg_trigger WHERE NOT tgisinternal",
                "SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
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


def test_are_numbered_and_linear() -> None:
    files = sorted(path.name for path in (ROOT / "migrations" / "versions").glob("*.py"))
    assert [name[:4] for name in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    assert [name[:4] for name in files] == revisions()
    assert ScriptDirectory.from_config(config()).get_heads() == [files[-1][:4]]


@pytest.mark.parametrize("path", sorted((ROOT / "migrations" / "versions").glob("*.py")), ids=lambda path: path.stem)
def test_imports_no_model_and_mixes_no_schema_with_data(path: Path) -> None:
    source = path.read_text()
    assert not re.search(r"^(from|import) (models|settings|api|workers)\b", source, re.MULTILINE)
    changes_schema = bool(re.search(r"\b(CREATE|ALTER) (UNIQUE )?(TABLE|INDEX)", source))
    changes_data = bool(re.search(r"\bINSERT INTO \w|\bUPDATE \w+ SET", source))
    assert not (changes_schema and changes_data)


def test_by_two_migrators_at_once_do_no_harm(empty_database: str) -> None:
    upgrade = [sys.executable, "-m", "alembic", "-x", f"url={empty_database}", "upgrade", "head"]
    migrators = [subprocess.Popen(upgrade, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [migrator.communicate(timeout=60)[1] for migrator in migrators]
    assert [migrator.returncode for migrator in migrators] == [0, 0], said
    command.check(config(empty_database))


def test_give_up_rather_than_keep_everybody_waiting_for_a_lock(empty_database: str) -> None:
    command.upgrade(config(empty_database), "0001")
    impatient = config(empty_database)
    impatient.attributes["lock_timeout"] = "50ms"
    with connected(empty_database) as other:
        other.execute(text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))
        with pytest.raises(OperationalError, match="lock timeout"):
            command.upgrade(impatient, "0002")
    command.upgrade(impatient, "0002")
