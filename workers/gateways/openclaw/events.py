"""Events of the gateway about one run: pure functions from event to `Status`.

Every connection receives the events of all runs of the gateway; callers pass only those of their own runs.
"""

from collections.abc import Mapping
from typing import Any

from workers.gateways.openclaw.contract import State, Status

Payload = Mapping[str, Any]

PHASES = {"start": State.RUNNING, "retrying": State.RETRYING, "finishing": State.FINISHING}
RETRY_FIELDS = ("retryAttempt", "maxRetries", "delayMs", "reason")


def run_id_of(event: str, payload: Payload) -> str | None:
    """The run that an event belongs to; None for events of the gateway itself."""
    run_id = _task(payload).get("runId") if event == "task" else payload.get("runId")
    return run_id if isinstance(run_id, str) else None


def session_of(event: str, payload: Payload) -> str | None:
    """The session that an event belongs to, None when it names none."""
    source = _task(payload) if event == "task" else payload
    session = source.get("sessionKey") or source.get("requesterSessionKey")
    return session if isinstance(session, str) else None


def status_of(event: str, payload: Payload) -> Status | None:
    """The status update in an event of a run; None when there is none."""
    if event == "task":
        # A task is `running` from its acceptance on, and again after its end: only the lifecycle event marks the start.
        return Status(State.QUEUED) if _task(payload).get("status") == "queued" else None
    if event != "agent":
        return None
    data = payload.get("data")
    return _agent_status(str(payload.get("stream")), data if isinstance(data, Mapping) else {})


def error_detail_of(event: str, payload: Payload) -> Payload | None:
    """The machine-readable cause of a failure, which only events carry."""
    data = payload.get("data")
    if event == "chat" and payload.get("state") == "error":
        detail = payload.get("errorDetail")
    elif event == "agent" and isinstance(data, Mapping) and data.get("phase") == "error":
        detail = data.get("errorObservation")
    else:
        return None
    return detail if isinstance(detail, Mapping) else {}


def is_over(event: str, payload: Payload) -> bool:
    """Whether this is the last event of the run's conversation."""
    return event == "chat" and payload.get("state") in ("final", "error", "aborted")


def _agent_status(stream: str, data: Payload) -> Status | None:
    if stream == "lifecycle":
        state = PHASES.get(str(data.get("phase")))
        if state is State.RETRYING:
            return Status(state, {name: data[name] for name in RETRY_FIELDS if name in data})
        return Status(state) if state else None
    if stream == "assistant":
        text = data.get("text")
        return Status(State.STREAMING, {"characters": len(text) if isinstance(text, str) else 0})
    if stream in ("tool", "item"):
        return Status(State.TOOL, {"name": str(data["name"])} if data.get("name") else {})
    return None


def _task(payload: Payload) -> Payload:
    task = payload.get("task")
    return task if isinstance(task, Mapping) else payload
