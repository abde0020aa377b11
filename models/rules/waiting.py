"""Why a run is not moving, as a value: a word for programs in `type`, a sentence for people in `message`, and facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.rules.graph import Node
from models.rules.kinds import NodeCall
from models.rules.nodes import KINDS
from models.rules.states import ExecutionStatus

Json = Any
WaitingFor = dict[str, Json]

MOST_AHEAD = 1000  # so many are counted
TAKEOVER_SECONDS = 20  # from the end of a lease until the sweep has rung and somebody answered


@dataclass(frozen=True)
class UnderWay:
    """One step whose effect is under way, waits for its next attempt at `next_at`, or for what `pause` says."""

    node: Node
    path: str
    attempt: int
    since: datetime | None
    next_at: datetime | None = None
    pause: str | None = None

    @property
    def most(self) -> int:
        """Attempts it has."""
        try:
            return KINDS[self.node.type].retry_for(NodeCall(self.node, self.node.config, {}, None)).max_attempts
        except (KeyError, ValueError):  # a number that is known at run time only
            return self.attempt

    @property
    def calls(self) -> str | None:
        """Who is asked: a provider's name, `http`, or nobody in particular."""
        kind = KINDS.get(self.node.type)
        return (kind.provider(self.node.config) if kind else None) or ("http" if self.node.type == "api_call" else None)

    @property
    def told(self) -> WaitingFor:
        """For programs."""
        return {
            "nodeId": self.node.id,
            "label": self.node.label,
            "path": self.path,
            "attempt": self.attempt,
            "maxAttempts": max(self.most, self.attempt),
            "calls": self.calls,
            "since": self.since,
            "nextAttemptAt": self.next_at,
        }

    @property
    def sentence(self) -> str:
        """For people."""
        if self.pause:
            return f"{self.node.label}: {self.pause}"
        which = f"{self.node.label}: attempt {self.attempt} of {max(self.most, self.attempt)}"
        if self.next_at:
            return f"{which} comes at {_clock(self.next_at)}."
        whom = {None: "", "http": " calls its HTTP API"}.get(self.calls, f" asks {self.calls}")
        return f"{which}{whom or ' is under way'}{f' since {_clock(self.since)}' if self.since else ''}."


def at_a_glance(status: ExecutionStatus, stored: Json, *, deferred: bool, executed: int, total: int) -> Json:
    """What the row alone says; for lists, where nobody counts queues."""
    match status:
        case ExecutionStatus.QUEUED:
            return turn() if deferred else {"type": "queue", "message": "Waits in the queue for a worker."}
        case ExecutionStatus.RUNNING:
            return {"type": "nodes", "message": f"{executed} of {total} nodes are done."}
        case ExecutionStatus.CANCELLING:
            return {"type": "cancel", "message": "Stops."}
        case ExecutionStatus.WAITING:
            return stored
    return None


def runs(stored: WaitingFor, below: Sequence[WaitingFor], more: int) -> WaitingFor:
    """For runs that it started; `below` tells of those that wait for no other run, and `more` are not told of.

    The sentence says what the first of them needs, if that one stands still too.
    """
    message, first = stored["message"], below[0] if below else None
    if first and stored.get("type") == "subworkflow" and first["status"] == ExecutionStatus.WAITING:
        message = f"{message} {first['workflowName']}: {first['waitingFor']['message']}"
    return {**stored, "message": message, "runs": list(below), "more": more}


def queue(priority: str, ahead: int) -> WaitingFor:
    """For a worker; so many come before."""
    place = f"Number {ahead + 1}" if ahead < MOST_AHEAD else f"Behind more than {MOST_AHEAD:,} others"
    return {"type": "queue", "message": f"{place} in the queue of priority {priority}.", "ahead": ahead}


def turn(under_way: int | None = None, ahead: int = 0) -> WaitingFor:
    """For other runs of the same owner: so many are under way, as many as the tier allows, and so many come before."""
    some = "As many of your runs as your tier allows" if under_way is None else f"{under_way} of your own runs"
    before = f", and {ahead} more {'come' if ahead > 1 else 'comes'} before this one" if ahead else ""
    facts = {} if under_way is None else {"underWay": under_way, "ahead": ahead}
    return {"type": "turn", "message": f"{some} are under way{before}.", **facts}


def workers(priority: str, since: datetime | None) -> WaitingFor:
    """For somebody to start a worker."""
    when = f" since {_clock(since)}" if since else ""
    return {
        "type": "workers",
        "message": f"No worker has taken jobs from the queue of priority {priority}{when}.",
        "since": since,
    }


def nodes(steps: Sequence[UnderWay], more: int, *, executed: int, total: int) -> WaitingFor:
    """For what its nodes wait for; `more` are under way than are listed."""
    if not steps:
        message = f"{executed} of {total} nodes are done; nothing is waited for."
    else:
        others = len(steps) - 1 + more
        message = steps[0].sentence + (f" {_counted(others, 'more node')} under way." if others else "")
    return {"type": "nodes", "message": message, "nodes": [step.told for step in steps], "more": more}


def cancel(steps: Sequence[UnderWay], more: int) -> WaitingFor:
    """For what was under way when somebody asked for its end."""
    number = len(steps) + more
    message = f"Stops; {_counted(number, 'call')} being ended." if number else "Stops."
    return {"type": "cancel", "message": message, "nodes": [step.told for step in steps], "more": more}


def takeover(since: datetime) -> WaitingFor:
    """For another worker."""
    message = f"Its worker vanished; another one takes over within about {TAKEOVER_SECONDS} seconds."
    return {"type": "takeover", "message": message, "since": since}


def due(stored: Json, *, deferred: bool = False) -> WaitingFor:
    """It waited, and what it waited for came; one that is `deferred` waits for its turn now."""
    now = {"type": "queue", "message": "Its time has come; a worker takes it on within seconds."}
    return {**(stored or {}), **(turn() if deferred else now)}


def _counted(number: int, noun: str) -> str:
    return f"1 {noun} is" if number == 1 else f"{number} {noun}s are"


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S} UTC"
