"""`waitingFor` of a run, as JSON: `type` for programs, `message` as a sentence for people, and details."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from models.rules.executions.states import ExecutionStatus
from models.rules.graph.graph import Node
from models.rules.graph.kinds import NodeCall
from models.rules.nodes import KINDS
from models.rules.values.scope import Scope
from models.serialization import Json

WaitingFor = dict[str, Json]

MAX_COUNTED_AHEAD = 1000  # runs ahead in a queue are counted up to this number
# Queues of an agent turn on its way to the gateway; any other value is the name of a provider.
_QUEUES = {
    None: "is queued for openclaw",
    "slot": "is queued for openclaw",
    "connection": "waits for a connection to openclaw",
    "gateway": "waits until openclaw takes new turns",
}
TAKEOVER_SECONDS = 20  # from the end of a lease until the sweep has enqueued the run and a worker claimed it


@dataclass(frozen=True)
class UnderWay:
    """A step whose effect is under way, or that waits for its next attempt at `next_at` or because of `pause`.

    `queue` is `{for, since}` while its call is queued for a provider or on its way to OpenClaw.
    """

    node: Node
    path: str
    attempt: int
    since: datetime | None
    next_at: datetime | None = None
    pause: str | None = None
    queue: Mapping[str, Json] | None = None

    @property
    def max_attempts(self) -> int:
        """The number of attempts that the step may make."""
        try:
            return KINDS[self.node.type].retry_for(NodeCall(self.node, self.node.config, Scope({}), None)).max_attempts
        except (KeyError, ValueError):  # the number is an expression, known at run time only
            return self.attempt

    @property
    def calls(self) -> str | None:
        """What the step calls: a provider's name, `http`, or None."""
        kind = KINDS.get(self.node.type)
        return (kind.provider(self.node.config) if kind else None) or ("http" if self.node.type == "api_call" else None)

    @property
    def as_json(self) -> WaitingFor:
        """The step as JSON for programs."""
        return {
            "nodeId": self.node.id,
            "label": self.node.label,
            "path": self.path,
            "attempt": self.attempt,
            "maxAttempts": max(self.max_attempts, self.attempt),
            "calls": self.calls,
            "since": self.since,
            "nextAttemptAt": self.next_at,
            "queue": self.queue,
        }

    @property
    def sentence(self) -> str:
        """The step as a sentence for people."""
        if self.pause:
            return f"{self.node.label}: {self.pause}"
        attempt = f"{self.node.label}: attempt {self.attempt} of {max(self.max_attempts, self.attempt)}"
        if self.queue:
            return f"{attempt} {queue_phrase(self.queue)} since {_clock(datetime.fromisoformat(self.queue['since']))}."
        if self.next_at:
            return f"{attempt} comes at {_clock(self.next_at)}."
        call = {None: "", "http": " calls its HTTP API"}.get(self.calls, f" asks {self.calls}")
        return f"{attempt}{call or ' is under way'}{f' since {_clock(self.since)}' if self.since else ''}."


def queue_phrase(queue: Mapping[str, Json]) -> str:
    """The queue that a call waits in, as part of a sentence."""
    name = queue["for"]
    return _QUEUES.get(name) or f"is queued for {name}"


def summary(status: ExecutionStatus, stored: Json, *, deferred: bool, executed: int, total: int) -> Json:
    """The reason as far as the run's row says it, for lists, where queues are not counted.

    `executed` of `total` nodes are done; `stored` is the row's reason.
    """
    match status:
        case ExecutionStatus.QUEUED:
            return concurrency_limit() if deferred else {"type": "queue", "message": "Waits in the queue for a worker."}
        case ExecutionStatus.RUNNING:
            return {"type": "nodes", "message": f"{executed} of {total} nodes are done."}
        case ExecutionStatus.CANCELLING:
            return {"type": "cancel", "message": "Stops."}
        case ExecutionStatus.WAITING:
            return stored
    return None


def runs(stored: WaitingFor, below: Sequence[WaitingFor], more: int) -> WaitingFor:
    """The reason of a run that waits for child runs, listed in `below`; `more` are not listed.

    The sentence includes the reason of the first of them, if that one waits too.
    """
    message, first = stored["message"], below[0] if below else None
    if first and stored.get("type") == "subworkflow" and first["status"] == ExecutionStatus.WAITING:
        message = f"{message} {first['workflowName']}: {first['waitingFor']['message']}"
    return {**stored, "message": message, "runs": list(below), "more": more}


def queue(priority: str, ahead: int) -> WaitingFor:
    """The reason of a queued run, with `ahead` runs before it."""
    position = f"Number {ahead + 1}" if ahead < MAX_COUNTED_AHEAD else f"Behind more than {MAX_COUNTED_AHEAD:,} others"
    return {"type": "queue", "message": f"{position} in the queue of priority {priority}.", "ahead": ahead}


def concurrency_limit(under_way: int | None = None, ahead: int = 0) -> WaitingFor:
    """The reason of a deferred run: `under_way` runs of its owner use all slots, and `ahead` are deferred before it."""
    runs = "As many of your runs as your tier allows" if under_way is None else f"{under_way} of your own runs"
    before = f", and {ahead} more {'come' if ahead > 1 else 'comes'} before this one" if ahead else ""
    numbers = {} if under_way is None else {"underWay": under_way, "ahead": ahead}
    return {"type": "concurrency_limit", "message": f"{runs} are under way{before}.", **numbers}


def workers(priority: str, since: datetime | None) -> WaitingFor:
    """The reason of a run in a queue without consumers; `since` is when one last received a message."""
    when = f" since {_clock(since)}" if since else ""
    return {
        "type": "workers",
        "message": f"No worker has taken jobs from the queue of priority {priority}{when}.",
        "since": since,
    }


def nodes(steps: Sequence[UnderWay], more: int, *, executed: int, total: int) -> WaitingFor:
    """The reason of a driven run: the nodes under way; `more` are not listed."""
    if not steps:
        message = f"{executed} of {total} nodes are done; none is under way."
    else:
        others = len(steps) - 1 + more
        message = steps[0].sentence + (f" {_counted(others, 'more node')} under way." if others else "")
        in_queues = [step for step in steps[1:] if step.queue]
        if in_queues and not steps[0].queue:
            message += f" {in_queues[0].sentence}"
    return {"type": "nodes", "message": message, "nodes": [step.as_json for step in steps], "more": more}


def cancel(steps: Sequence[UnderWay], more: int) -> WaitingFor:
    """The reason of a run that is cancelling: the calls that are being stopped; `more` are not listed."""
    number = len(steps) + more
    message = f"Stops; {_counted(number, 'call')} being ended." if number else "Stops."
    return {"type": "cancel", "message": message, "nodes": [step.as_json for step in steps], "more": more}


def takeover(since: datetime) -> WaitingFor:
    """The reason of a run whose worker vanished; `since` is the end of its lease."""
    message = f"Its worker was lost; another one takes over within about {TAKEOVER_SECONDS} seconds."
    return {"type": "takeover", "message": message, "since": since}


def due(stored: Json, *, deferred: bool = False) -> WaitingFor:
    """The reason of a run whose wait is over: it waits for a worker or, if `deferred`, for a concurrency slot."""
    queued = {"type": "queue", "message": "It is due; a worker continues it within seconds."}
    return {**(stored or {}), **(concurrency_limit() if deferred else queued)}


def _counted(number: int, noun: str) -> str:
    return f"1 {noun} is" if number == 1 else f"{number} {noun}s are"


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S} UTC"
