"""Deadlines of runs, and the errors of runs that missed them."""

from dataclasses import dataclass
from datetime import datetime

from models.serialization import Json

DAY = 86_400  # seconds
MAX_TIMEOUT_SECONDS = 366 * DAY  # of any run


@dataclass(frozen=True)
class RunTimeLimits:
    """The limits of a deployment for its runs, in seconds from the acceptance of a run.

    The defaults are for runs that hang or were forgotten, so they are longer than the longest `wait` or approval.
    """

    timeout: int = 100 * DAY  # until the end, waits included, unless the run or the workflow sets it
    max_timeout: int = MAX_TIMEOUT_SECONDS
    queue: int = 7 * DAY  # until the start, unless the run or the workflow sets it

    def timeout_for(self, *requested: int | None) -> int:
        """The seconds until the end: the first requested value that is set, clamped to the maximum."""
        return min(
            next((requested for requested in requested if requested is not None), self.timeout), self.max_timeout
        )

    def queue_for(self, *requested: int | None) -> int:
        """The seconds until the start: the first requested value that is set, clamped to the maximum."""
        return min(next((requested for requested in requested if requested is not None), self.queue), self.max_timeout)


DEFAULT_TIME_LIMITS = RunTimeLimits()


def run_timed_out(deadline: datetime | None) -> dict[str, Json]:
    """The error of a run that did not end in time."""
    moment = f" ({_moment(deadline)})" if deadline else ""
    return {"code": "run_timed_out", "message": f"The run did not end before its deadline{moment}."}


def queued_too_long(start_by: datetime, *, deferred: bool) -> dict[str, Json]:
    """The error of a run that did not start in time; `deferred` if its owner's other runs were the reason."""
    why = "as many of your runs as your tier allows were under way" if deferred else "no worker was free"
    return {"code": "queued_too_long", "message": f"The run was not started before {_moment(start_by)}: {why}."}


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
