"""The examination of a deployment."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from manage.doctor.examination import checks, examine
from manage.doctor.results import CheckResult, Level
from manage.groups import ManageCommand, output
from settings import readable_settings


@click.command(cls=ManageCommand)
@click.option(
    "--backups",
    envvar="BACKUP_DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="The directory of the dumps, if it is on this host.",
)
@click.option("--strict", is_flag=True, help="Fail at warnings too.")
def doctor(backups: Path | None, strict: bool) -> None:
    """Check this deployment from its settings to its last backup; says what is wrong and how to mend it."""
    found = checks(*readable_settings(), backups)
    with output().progress(found, "Checking") as bar:
        results = list(examine(bar))
    counts = Counter(result.level for result in results)
    lines = [_line(result) for result in results]
    total = f"{counts[Level.WRONG]} wrong, {counts[Level.WARNING]} warnings, {counts[Level.OK]} in order."
    output().document([asdict(result) for result in results], *lines, total)
    if counts[Level.WRONG] or (strict and counts[Level.WARNING]):
        click.get_current_context().exit(1)


def _line(result: CheckResult) -> str:
    mend = f"\n         To mend it: {result.mend}" if result.mend else ""
    return f"{result.level:8} {result.check}: {result.what}{mend}"
