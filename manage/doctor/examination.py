"""Runs all checks, each on its own: one that fails by itself is a finding too."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from manage.deployment import connect_to, transaction
from manage.doctor import of_backups, of_database, of_money, of_outside, of_redis, of_settings, of_work
from manage.doctor.results import CheckResult, skipped, wrong
from models.db import SessionFactory
from settings import Settings
from variables import SettingsError

Check = Callable[[], Iterable[CheckResult]]
DatabaseCheck = Callable[[Session, Settings], Iterable[CheckResult]]

OF_ROWS: tuple[DatabaseCheck, ...] = (
    of_database.migrations,
    of_database.privileges,
    of_database.clock,
    of_work.queues,
    of_work.workers,
    of_work.beat,
    of_money.webhook,
    of_money.requests,
    of_money.reconciliations,
    of_money.open_alerts,
    of_work.letters,
)


def checks(settings: Settings, problems: SettingsError | None, backups: Path | None) -> list[Check]:
    """All checks that this process can do, in the order of what depends on what."""
    found: list[Check] = [
        partial(of_settings.settings, settings, problems),
        partial(of_redis.servers, settings),
        partial(of_outside.gateways, settings, problems),
        partial(of_backups.disks, backups),
    ]
    if not settings.database_url:
        return [*found, lambda: [skipped("database", f"The role {settings.role} has none.")]]
    if problems and "DATABASE_URL" in problems.names:
        return [*found, lambda: [skipped("database", "DATABASE_URL is not set.")]]
    found += [partial(_of_rows, check, settings) for check in (of_database.version, *OF_ROWS)]
    return [*found, partial(_of_rows, lambda session, _: of_backups.backups(session, backups), settings)]


def examine(found: Iterable[Check]) -> Iterator[CheckResult]:
    """The results of all checks, each once."""
    said: set[CheckResult] = set()
    for check in found:
        for result in check():
            if result not in said:
                said.add(result)
                yield result


def _of_rows(check: DatabaseCheck, settings: Settings) -> Iterator[CheckResult]:
    """The results of a check in a transaction of its own."""
    if SessionFactory.kw["bind"] is None:
        connect_to(settings)
    try:
        with transaction() as session:
            results = list(check(session, settings))
    except SQLAlchemyError as error:
        sentence = str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]
        mend = "Start PostgreSQL, check DATABASE_URL, and run `agentforge migrate`."
        yield wrong("database", f"A query failed: {sentence}", mend)
        return
    yield from results
