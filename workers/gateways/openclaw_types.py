"""The vocabulary of the OpenClaw gateway: how a run is named, what is told while it runs, and what a driver offers."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from models.rules.effects import AgentTurn, TextAnswer
from workers.gateways.base import Cancel, Deadline

PLAIN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}")
MAX_SESSION_KEY = 512
DIGEST_LENGTH = 32


class State(StrEnum):
    """How far a run is; the end itself is the returned answer or the raised `CallFailed`."""

    QUEUED = "queued"  # waits here for a free slot, or for the gateway to come back
    ACCEPTED = "accepted"
    RUNNING = "running"
    RETRYING = "retrying"
    STREAMING = "streaming"
    TOOL = "tool"
    FINISHING = "finishing"


@dataclass(frozen=True)
class Status:
    """One piece of news about a run; `data` is small and JSON, such as `{"attempt": 2, "delayMs": 500}`."""

    state: State
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRef:
    """The name of one attempt at one node, made before anything is sent, so that it can be found again after a crash.

    `key` is the gateway's run id and idempotency key, `session_key` its conversation, `boot_id` the gateway process
    that was told (None: nobody yet).
    """

    key: str
    session_key: str
    boot_id: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The reference as the engine stores it: `{key, sessionKey, bootId}`."""
        return {"key": self.key, "sessionKey": self.session_key, "bootId": self.boot_id}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "RunRef":
        """Read what `as_json` wrote."""
        return cls(stored["key"], stored["sessionKey"], stored.get("bootId"))


@dataclass(frozen=True)
class StillRunning:
    """The gateway process that was told is still there; `attach()` waits for the end as `turn` does.

    It raises what `turn` raises, finds a run that has ended meanwhile, too, and never makes a second one.
    """

    attach: Callable[[], TextAnswer]


@dataclass(frozen=True)
class Unknown:
    """Nobody can say whether the run happened: repeat only what may be repeated, with the next attempt's reference."""

    reason: str


@dataclass(frozen=True)
class Health:
    """Whether the gateway can be used. `ready` False says why in `detail`, one sentence."""

    ready: bool
    detail: str
    version: str | None = None
    boot_id: str | None = None
    scopes: tuple[str, ...] = ()


class Cancelled(StrEnum):
    """What became of a wish to stop a run."""

    STOPPED = "stopped"
    NOT_RUNNING = "not_running"
    UNCONFIRMED = "unconfirmed"  # the gateway did not answer, or the driver has no means


OnStatus = Callable[[Status], None]
OnStart = Callable[[Mapping[str, Any]], None]


class OpenClaw(Protocol):
    """One turn of an agent at a time per caller; every method may be called from many threads at once."""

    def turn(
        self,
        turn: AgentTurn,
        ref: RunRef,
        *,
        cancel: Cancel,
        on_status: OnStatus,
        on_start: OnStart,
        deadline: Deadline | None = None,
    ) -> TextAnswer:
        """Run one turn to its end, blocking the caller's thread; raises `CallFailed`.

        `on_start` gets `{key, sessionKey, bootId}` before anything is sent and must return only when that is stored;
        when the gateway restarted in between it is called once more. `on_status` is called in the caller's thread.
        `deadline` bounds the whole call including the wait for a free slot; without it only the turn's own `timeout`
        (plus a grace) counts, from the start of the run.
        """

    def reconcile(
        self, turn: AgentTurn, ref: RunRef, *, cancel: Cancel, on_status: OnStatus, deadline: Deadline | None = None
    ) -> TextAnswer | StillRunning | Unknown:
        """Find out what became of a run that a dead worker started; raises `CallFailed` when it failed for certain.

        `ref` is what `on_start` got; without a boot id nothing was ever sent.
        """

    def cancel(self, ref: RunRef) -> Cancelled:
        """Stop a run from outside, whoever started it. Never raises; takes a few seconds at most."""

    def health(self) -> Health:
        """Ask the gateway whether it would take work. Never raises."""

    def close(self) -> None:
        """Let go of the connection. Turns in flight end as unknown; their runs in the gateway go on."""


def run_ref(
    *, deployment_id: str, agent_id: str, execution_id: str, node_id: str, path: str = "", attempt: int = 1
) -> RunRef:
    """Name an attempt: equal arguments give an equal reference, different ones never share a key or a session.

    Parts that are not plain lower-case words (and anything too long) are replaced by a digest, because ids may hold
    the separator, and because gateways fold the case of session keys.
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
