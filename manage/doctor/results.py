"""Results of checks."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a check ended; only `wrong` makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    SKIPPED = "skipped"  # this process has not what the check needs


@dataclass(frozen=True)
class CheckResult:
    """One result: what was found, and how to mend it."""

    check: str
    level: Level
    what: str
    mend: str = ""


def ok(check: str, what: str) -> CheckResult:
    """All is well."""
    return CheckResult(check, Level.OK, what)


def warning(check: str, what: str, mend: str) -> CheckResult:
    """It works, but somebody should look at it."""
    return CheckResult(check, Level.WARNING, what, mend)


def wrong(check: str, what: str, mend: str) -> CheckResult:
    """It does not work."""
    return CheckResult(check, Level.WRONG, what, mend)


def skipped(check: str, why: str) -> CheckResult:
    """It could not be checked here."""
    return CheckResult(check, Level.SKIPPED, why)


def by_age(check: str, what: str, seconds: float, *, late: float, mend: str) -> CheckResult:
    """`wrong` if `what` happened more than `late` seconds ago."""
    sentence = f"{what} {span(seconds)} ago."
    return wrong(check, sentence, mend) if seconds > late else ok(check, sentence)


def span(seconds: float) -> str:
    """A time span for people, in the largest unit of which there are at least two."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} seconds"
