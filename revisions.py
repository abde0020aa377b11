"""The revisions of the database and of the code, and whether the database is behind."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.orm import Session

ROOT = Path(__file__).parent


def config() -> Config:
    """Alembic's configuration, wherever the command is run."""
    found = Config(ROOT / "alembic.ini")
    found.set_main_option("script_location", str(ROOT / "migrations"))
    return found


def newest_revision() -> str:
    """The newest revision in `migrations/`."""
    return ScriptDirectory.from_config(config()).get_current_head() or ""


def database_revision(session: Session) -> str | None:
    """The revision of the database; None for one without tables."""
    return MigrationContext.configure(session.connection()).get_current_revision()


def is_behind(session: Session) -> bool:
    """Whether migrations of this code are missing in the database; a newer release's migrations do no harm."""
    at, newest = database_revision(session), newest_revision()
    return at is None or (at != newest and _is_known(at))


def _is_known(revision: str) -> bool:
    return any(one.revision == revision for one in ScriptDirectory.from_config(config()).walk_revisions())
