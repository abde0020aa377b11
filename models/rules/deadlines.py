"""How long a run may take, and what is said of one that took longer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Any

DAY = 86_400  # seconds
LONGEST = 366 * DAY  # that anybody may ask for


@dataclass(frozen=True)
class RunLimits:
    """What a deployment grants its runs, in seconds from the moment a run is accepted.

    The defaults are for runs that hang or were forgotten, so they are longer than the longest `wait` or question.
    """

    timeout: int = 100 * DAY  # until its end, waiting included, when neither run nor workflow say it
    longest_timeout: int = LONGEST
    queue: int = 7 * DAY  # until a worker starts it

    def timeout_for(self, *wishes: int | None) -> int:
        """The first wish that is one, within what the deployment allows."""
        return min(next((wish for wish in wishes if wish is not None), self.timeout), self.longest_timeout)

    def queue_for(self, *wishes: int | None) -> int:
        """Likewise, for the time until its start."""
        return min(next((wish for wish in wishes if wish is not None), self.queue), self.longest_timeout)


DEFAULT_LIMITS = RunLimits()


def run_timed_out(deadline: datetime | None) -> dict[str, Json]:
    """The error of a run that did not end in time."""
    moment = f" ({_moment(deadline)})" if deadline else ""
    return {"code": "run_timed_out", "message": f"The run did not end before its deadline{moment}."}


def queued_too_long(start_by: datetime, *, deferred: bool) -> dict[str, Json]:
    """The error of a run that nobody started in time; `deferred`: because its owner's other runs came first."""
    why = "as many of your runs as your tier allows were under way" if deferred else "no worker was free"
    return {"code": "queued_too_long", "message": f"The run was not started before {_moment(start_by)}: {why}."}


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
