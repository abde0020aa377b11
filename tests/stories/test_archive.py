"""A base backup and the write-ahead log at a real pgBackRest, made by the operators' script and restored elsewhere."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.drills.archived_postgres import ROOT, ArchivedPostgres, Repository
from devstack.processes.process import DevstackError
from devstack.run_audit import query
from devstack.servers.redis_server import running_redis
from manage.doctor import of_backups
from models.db import SessionFactory, connect, session_scope
from tests.support.servers import debian

pytestmark = pytest.mark.faults
NAME = "agentforge"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that PostgreSQL's account may enter, with short paths, since it has sockets."""
    debian.program("pgbackrest", package="pgbackrest")
    debian.directory("/usr/lib/postgresql/15/bin", package="postgresql-15")
    with tempfile.TemporaryDirectory(prefix="agentforge-archive-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def postgres(place: Path) -> Iterator[ArchivedPostgres]:
    """A server with our tables, whose first backup is complete."""
    with ArchivedPostgres(place / "old", Repository(place / "repository")) as server:
        env = os.environ | {"DATABASE_URL": server.create_database(NAME), "AGENTFORGE_ENV": "test"}
        subprocess.run([sys.executable, "-m", "alembic", "upgrade", "head"], cwd=ROOT, env=env, check=True)
        backup(server)
        yield server


def backup(server: ArchivedPostgres, **env: str) -> str:
    return server.script("backup.sh", database=NAME, **env).strip().splitlines()[-1]


def note(server: ArchivedPostgres, action: str) -> datetime:
    """Write a row; return the database's time of its commit at the latest."""
    query(server.url(NAME), "INSERT INTO audit_log (action) VALUES (%s)", (action,))
    moment: datetime = query(server.url(NAME), "SELECT clock_timestamp()")[0][0]
    return moment


def archived(server: ArchivedPostgres) -> None:
    """Wait until everything that is written now is in the archive."""
    ((segment,),) = query(server.url(), "SELECT pg_walfile_name(pg_switch_wal())")
    statement = "SELECT last_archived_wal >= %s FROM pg_stat_archiver"
    deadline = time.monotonic() + 30
    while not query(server.url(), statement, (segment,))[0][0]:
        assert time.monotonic() < deadline, "it is not archived"
        time.sleep(0.1)


def settings(server: ArchivedPostgres, *names: str) -> list[Any]:
    return [query(server.url(), f"SHOW {name}")[0][0] for name in names]


def actions(server: ArchivedPostgres) -> list[str]:
    return [row[0] for row in query(server.url(NAME), "SELECT action FROM audit_log ORDER BY created_at")]


def test_the_shipped_settings_lose_a_minute_at_most(postgres: ArchivedPostgres):
    assert settings(postgres, "archive_mode", "archive_timeout") == ["on", "1min"]


def test_what_is_in_the_repository_is_encrypted(postgres: ArchivedPostgres):
    note(postgres, "secret.needle")
    archived(postgres)
    files = [path for path in (postgres.repository.directory / "repository").rglob("*") if path.is_file()]
    assert files
    encrypted = [path for path in files if path.read_bytes().startswith(b"Salted__")]
    assert set(files) == set(encrypted)


def test_the_doctor_sees_the_backup_and_the_archive(postgres: ArchivedPostgres):
    engine = connect(postgres.url(NAME))
    try:
        with session_scope() as session:
            found = {one.check: one for one in of_backups.backups(session, None)}
    finally:
        engine.dispose()
        SessionFactory.configure(bind=None)
    assert {one.level.value for one in found.values()} == {"ok"}, found
    assert "was made" in found["backups"].what
    assert "was archived" in found["archive"].what


def test_redis_sends_a_snapshot_that_is_kept_for_a_week(postgres: ArchivedPostgres, tmp_path: Path):
    debian.program("redis-cli", package="redis-tools")
    backups = postgres.repository.directory / "backups"
    old, young = backups / "redis-old.rdb", backups / "redis-young.rdb"
    for path, days in ((old, 8), (young, 6)):
        path.write_text("a snapshot")
        os.utime(path, (time.time() - days * 86_400,) * 2)
    with running_redis(tmp_path) as redis:
        backup(postgres, REDIS_HOST="127.0.0.1", REDIS_PORT=str(redis.port), REDISCLI_AUTH=redis.password)
    (new,) = set(backups.glob("redis-2*.rdb"))
    assert new.read_bytes().startswith(b"REDIS")
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.parametrize("name", ["ENCRYPTION_KEYS", "JWT_SECRETS"])
def test_no_backup_is_made_beside_the_keys(postgres: ArchivedPostgres, name: str):
    with pytest.raises(DevstackError, match="keys are in the environment"):
        backup(postgres, **{name: "a:secret"})
    stray = postgres.repository.directory / "backups" / ".env"
    stray.write_text(f"{name}=a:secret\n")
    try:
        with pytest.raises(DevstackError, match=r"keys are beside the backups, in .*\.env"):
            backup(postgres)
    finally:
        stray.unlink()


def test_an_unencrypted_repository_is_refused(postgres: ArchivedPostgres, place: Path):
    with pytest.raises(DevstackError, match="not encrypted"):
        backup(
            postgres,
            PGBACKREST_REPO1_PATH=str(place / "repository/spool/plain"),
            PGBACKREST_REPO1_CIPHER_TYPE="none",
            PGBACKREST_REPO1_CIPHER_PASS="",
        )


def test_the_database_is_recovered_to_a_moment_before_an_accident(postgres: ArchivedPostgres, place: Path):
    before = note(postgres, "before.accident")
    time.sleep(0.2)
    note(postgres, "the.accident")
    archived(postgres)
    new = ArchivedPostgres(place / "new", postgres.repository, archive_mode="off")
    new.take_password_of(postgres)
    new.script("restore.sh", (before + timedelta(seconds=0.1)).isoformat(" "), database=NAME)
    with new:
        told = new.script("restore.sh", "finish", database=NAME).strip()
        assert actions(new)[-2:] == ["before.accident", "database.restored"]
        assert settings(new, "server_version_num") == settings(postgres, "server_version_num")
    point = datetime.fromisoformat(told.removeprefix("recovered to "))
    assert abs((point - before.astimezone(UTC)).total_seconds()) < 5
    assert actions(postgres)[-1] == "the.accident"


def test_a_restore_never_overwrites_a_database(postgres: ArchivedPostgres):
    with pytest.raises(DevstackError, match=r"restore\.sh failed"):
        postgres.script("restore.sh", "latest", database=NAME)
    assert postgres.is_ready()


def test_a_damaged_backup_is_no_backup(postgres: ArchivedPostgres):
    (bundle, *_) = (postgres.repository.directory / "repository" / "backup").rglob("bundle/*")
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 0xFF
    bundle.write_bytes(content)
    with pytest.raises(DevstackError, match="repository is damaged"):
        backup(postgres)
