"""Checks of the settings."""

from collections.abc import Iterator

from manage.doctor.results import CheckResult, ok, warning, wrong
from settings import Settings
from variables import SettingsError

MEND = "Set it in the environment of this process; deploy/env.example describes every setting."


def settings(found: Settings, problems: SettingsError | None) -> Iterator[CheckResult]:
    """A finding for each sentence of the settings' own check."""
    for sentence in problems.sentences if problems else ():
        yield wrong("settings", sentence, MEND)
    if problems is None:
        role = found.role or "no role, so all settings are read"
        yield ok("settings", f"Complete ({found.environment}; {role}).")
        if found.environment != "production":
            yield warning(
                "settings", f"The environment is {found.environment}.", "Set AGENTFORGE_ENV=production for real users."
            )
