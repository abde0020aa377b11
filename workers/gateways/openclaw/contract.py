"""The interface of an OpenClaw driver: how a run is named, the statuses it reports, and the operations on it."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from models.rules.graph.effects import AgentTurn, TextResult
from workers.gateways.base import Cancel, Deadline

PLAIN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}")
MAX_SESSION_KEY = 512
DIGEST_LENGTH = 32


class State(StrEnum):
    """How far a run is; its end is the returned result or the raised `CallFailed`."""

    QUEUED = "queued"  # waits here for a free slot, or for the gateway to come back
    ACCEPTED = "accepted"
    RUNNING = "running"
    RETRYING = "retrying"
    STREAMING = "streaming"
    TOOL = "tool"
    FINISHING = "finishing"


@dataclass(frozen=True)
class Status:
    """A status update of a run; `data` is small and JSON, such as `{"attempt": 2, "delayMs": 500}`."""

    state: State
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRef:
    """The name of one attempt at one node, made before anything is sent, so that it can be found again after a crash.

    `key` is the gateway's run id and idempotency key, `session_key` its conversation, `boot_id` the gateway process
    that received it (None: not sent yet).
    """

    key: str
    session_key: str
    boot_id: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The reference as the engine stores it: `{key, sessionKey, bootId}`."""
        return {"key": self.key, "sessionKey": self.session_key, "bootId": self.boot_id}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "RunRef":
        """Read the output of `as_json`."""
        return cls(stored["key"], stored["sessionKey"], stored.get("bootId"))


@dataclass(frozen=True)
class StillRunning:
    """The gateway process that got the run is still up; `attach()` waits for the end as `turn` does.

    It raises the same errors as `turn`, also finds a run that has ended meanwhile, and never starts a second one.
    """

    attach: Callable[[], TextResult]


@dataclass(frozen=True)
class Unknown:
    """Whether the run happened cannot be known: repeat only a repeatable effect, under the next attempt's name."""

    reason: str


@dataclass(frozen=True)
class Health:
    """Whether the gateway can be used; if not, `detail` says why in one sentence."""

    ready: bool
    detail: str
    version: str | None = None
    boot_id: str | None = None
    scopes: tuple[str, ...] = ()


class Cancelled(StrEnum):
    """The outcome of a request to stop a run."""

    STOPPED = "stopped"
    NOT_RUNNING = "not_running"
    UNCONFIRMED = "unconfirmed"  # the gateway did not answer, or the driver has no means


OnStatus = Callable[[Status], None]
OnStart = Callable[[Mapping[str, Any]], None]


class OpenClaw(Protocol):
    """A driver; each caller's thread runs one turn at a time, and many threads may call at once."""

    def turn(
        self,
        turn: AgentTurn,
        ref: RunRef,
        *,
        cancel: Cancel,
        on_status: OnStatus,
        on_start: OnStart,
        deadline: Deadline | None = None,
    ) -> TextResult:
        """Run one turn to its end, blocking the caller's thread; raises `CallFailed`.

        `on_start` gets `{key, sessionKey, bootId}` before anything is sent and must return only when that is stored;
        it is called again when the gateway restarted in between. `on_status` is called in the caller's thread.
        `deadline` bounds the whole call including the wait for a free slot; without it only the turn's own `timeout`
        (plus a grace) counts, from the start of the run.
        """

    def reconcile(
        self, turn: AgentTurn, ref: RunRef, *, cancel: Cancel, on_status: OnStatus, deadline: Deadline | None = None
    ) -> TextResult | StillRunning | Unknown:
        """Find the outcome of a run that a dead worker started; raises `CallFailed` when it certainly failed.

        `ref` is the reference that `on_start` got; without a boot id nothing was sent.
        """

    def cancel(self, ref: RunRef) -> Cancelled:
        """Stop a run that any process started. Never raises; takes a few seconds at most."""

    def agents(self) -> frozenset[str]:
        """The ids of the gateway's agents, in lower case; raises `CallFailed`."""

    def health(self) -> Health:
        """Ask the gateway whether it accepts work. Never raises."""

    def close(self) -> None:
        """Close the connection. Turns in flight end as unknown; their runs in the gateway go on."""


def run_ref(
    *, deployment_id: str, agent_id: str, execution_id: str, node_id: str, path: str = "", attempt: int = 1
) -> RunRef:
    """Name an attempt: equal arguments give an equal reference, different ones never share a key or a session.

    Parts that are not plain lower-case words, and names that are too long, are replaced by a digest, because ids may
    contain the separator and gateways fold the case of session keys.
    """
    run = ":".join((*(_part(part) for part in (deployment_id, execution_id, node_id, path)), str(attempt)))
    session_key = f"agent:{agent_id}:agentforge:{run}"
    if len(session_key) > MAX_SESSION_KEY:
        run = _digest(run)
        session_key = f"agent:{agent_id}:agentforge:{run}"
    return RunRef(key=f"af:{run}", session_key=session_key)


def _part(text: str) -> str:
    return text if not text or PLAIN.fullmatch(text) else _digest(text)


def _digest(text: str) -> str:
    return "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_LENGTH]
