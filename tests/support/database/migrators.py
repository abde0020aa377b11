"""Processes that migrate a database, and a migration that builds an index concurrently."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

ROOT = Path(__file__).parents[3]
CONCURRENT_INDEX = '''"""An index on a table that is written to meanwhile."""

from alembic import op

revision, down_revision = "9000", "{head}"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index("ix_users_name", "users", ["name"], postgresql_concurrently=True)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("ix_users_name", "users", postgresql_concurrently=True)
'''
INI = """[alembic]
script_location = {root}/migrations
version_locations = {root}/migrations/versions:{more}
prepend_sys_path = {root}
path_separator = os
"""


def with_concurrent_index(directory: Path) -> Path:
    """Alembic's config in `directory`, with a revision 9000 after ours."""
    more = directory / "versions"
    more.mkdir()
    (more / "9000_concurrent_index.py").write_text(CONCURRENT_INDEX.format(head=newest_revision()))
    ini = directory / "alembic.ini"
    ini.write_text(INI.format(root=ROOT, more=more))
    return ini


def newest_revision() -> str:
    """The last of our migrations."""
    return ScriptDirectory.from_config(Config(str(ROOT / "alembic.ini"))).get_current_head() or ""


@contextmanager
def migrators(ini: Path, url: str, number: int = 2) -> Iterator[list[subprocess.Popen[str]]]:
    """Run so many processes that migrate the database at once; they are killed at the end of the block."""
    upgrade = [sys.executable, "-m", "alembic", "-c", str(ini), "-x", f"url={url}", "upgrade", "head"]
    started = [subprocess.Popen(upgrade, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(number)]
    try:
        yield started
    finally:
        for migrator in started:
            migrator.kill()
            migrator.communicate()
