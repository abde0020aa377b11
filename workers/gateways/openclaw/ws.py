"""The WebSocket driver: the gateway's own protocol, with keys, events, aborts and recovery."""

import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import urllib3

from models.rules.graph.effects import AgentTurn, TextResult
from settings import OpenClawSettings
from workers.gateways.base import CallFailed, Cancel, Deadline
from workers.gateways.openclaw import classify
from workers.gateways.openclaw.caller import Tuning, TurnCaller, TurnStopped
from workers.gateways.openclaw.connection import LinkLost
from workers.gateways.openclaw.contract import Cancelled, Health, OnStart, OnStatus, RunRef, StillRunning, Unknown
from workers.gateways.openclaw.inbox import Slots
from workers.gateways.openclaw.session import TurnSession
from workers.gateways.openclaw.shared_connection import SharedConnection

WORD_JOINER = "\u2060"
AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class SocketOpenClaw:
    """OpenClaw over one shared WebSocket; see `contract.OpenClaw`. Callers' threads block, the connection does not."""

    def __init__(self, settings: OpenClawSettings, tuning: Tuning | None = None) -> None:
        self._settings = settings
        self._tuning = tuning or Tuning()
        self._shared = SharedConnection(settings)
        self._slots = Slots(settings.max_in_flight)

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
        """Run one turn to its end; raises `CallFailed`."""
        with self._session(turn, ref, cancel, on_status, deadline) as session:
            return self._in_slot(session, lambda: session.begin(on_start))

    def reconcile(
        self, turn: AgentTurn, ref: RunRef, *, cancel: Cancel, on_status: OnStatus, deadline: Deadline | None = None
    ) -> TextResult | StillRunning | Unknown:
        """Find a dead worker's run: alive under the same boot id, or in the ledger under a new one."""
        if ref.boot_id is None:
            return Unknown("There is no record that this turn was sent.")
        with self._session(turn, ref, cancel, on_status, deadline) as session:
            try:
                link = session.connect(Deadline(self._tuning.connect_timeout))
                if link.boot_id == ref.boot_id:
                    return StillRunning(lambda: self._attach(turn, ref, cancel, on_status, deadline))
                return session.settle(link)
            except TurnStopped as stop:
                raise stop.cause.failure() from None
            except LinkLost:
                return Unknown(classify.LOST.sentence)
            except CallFailed as failure:
                if failure.outcome == "unknown":
                    return Unknown(failure.detail)
                raise

    def _attach(
        self, turn: AgentTurn, ref: RunRef, cancel: Cancel, on_status: OnStatus, deadline: Deadline | None
    ) -> TextResult:
        with self._session(turn, ref, cancel, on_status, deadline) as session:

            def follow() -> TextResult:
                try:
                    link = session.connect(Deadline(self._tuning.connect_timeout))
                except TurnStopped as stop:
                    raise stop.cause.failure() from None
                return session.resume(link)

            return self._in_slot(session, follow)

    def cancel(self, ref: RunRef) -> Cancelled:
        """Stop a run that any process started; never raises."""
        with self._plain_session(ref) as session:
            session.accepted = session.stopping = True
            if not session.abort():
                return Cancelled.UNCONFIRMED
            return Cancelled.STOPPED if session.stopped_one else Cancelled.NOT_RUNNING

    def agents(self) -> frozenset[str]:
        """List the agents that `agents.list` names."""
        with self._caller("agents") as caller:
            try:
                link = caller.connect(Deadline(self._tuning.rpc))
                return classify.agents_in(caller.ask(link, "agents.list", {}, self._tuning.rpc))
            except LinkLost:
                raise classify.UNREACHABLE.failure() from None

    def health(self) -> Health:
        """Readiness as the gateway reports it, and whether it accepts our connection."""
        ready, detail = is_ready(self._settings.url)
        if not ready:
            return Health(False, detail)
        with self._caller("health") as caller:
            try:
                link = caller.connect(Deadline(1.0))
            except CallFailed as failure:
                return Health(False, failure.detail)
        return Health(True, "OpenClaw is ready.", link.version, link.boot_id, link.scopes)

    def close(self) -> None:
        """Close the connection."""
        self._shared.close()

    def _caller(self, name: str) -> TurnCaller:
        """A caller for requests that are not turns."""
        return TurnCaller(
            self._shared,
            RunRef(name, name),
            cancel=Cancel(),
            on_status=lambda status: None,
            deadline=None,
            tuning=self._tuning,
        )

    def _in_slot(self, session: TurnSession, work: Callable[[], TextResult]) -> TextResult:
        session.take_slot(self._slots)
        try:
            return work()
        finally:
            self._slots.release()

    def _plain_session(self, ref: RunRef) -> TurnSession:
        return self._make(AgentTurn(""), ref, {}, Cancel(), lambda status: None, None)

    def _session(
        self, turn: AgentTurn, ref: RunRef, cancel: Cancel, on_status: OnStatus, deadline: Deadline | None
    ) -> TurnSession:
        return self._make(turn, ref, frame_for(self._settings, turn, ref), cancel, on_status, deadline)

    def _make(
        self,
        turn: AgentTurn,
        ref: RunRef,
        frame: dict[str, Any],
        cancel: Cancel,
        on_status: OnStatus,
        deadline: Deadline | None,
    ) -> TurnSession:
        return TurnSession(
            self._shared, ref, turn, frame, cancel=cancel, on_status=on_status, deadline=deadline, tuning=self._tuning
        )


def frame_for(settings: OpenClawSettings, turn: AgentTurn, ref: RunRef) -> dict[str, Any]:
    """The parameters of `agent`, equal for every repeat of an attempt; raises `CallFailed` for a foreign agent."""
    frame: dict[str, Any] = {
        "message": as_data(turn.prompt),
        "idempotencyKey": ref.key,
        "agentId": allowed_agent(settings, turn.agent_id),
        "sessionKey": ref.session_key,
        "deliver": False,
        # Without it the gateway's own limit of two days applies.
        "timeout": max(1, math.ceil(turn.timeout)),
    }
    if turn.system:
        frame["extraSystemPrompt"] = turn.system
    return frame


def as_data(prompt: str) -> str:
    """The prompt, with an invisible character before text that the gateway would take for a command (`/new`)."""
    return WORD_JOINER + prompt if prompt.lstrip().startswith("/") else prompt


def allowed_agent(settings: OpenClawSettings, agent_id: str | None) -> str:
    """The agent to use; raises `CallFailed` for one that the deployment does not offer to its users."""
    if agent_id is None or agent_id == settings.agent_id:
        return settings.agent_id
    if agent_id not in settings.agents or not AGENT_ID.fullmatch(agent_id):
        raise classify.WRONG_AGENT.failure(quote=agent_id)
    return agent_id


def is_ready(url: str) -> tuple[bool, str]:
    """Ask `/readyz`, which needs no token; the sentence says why the gateway is not ready."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    if scheme not in ("http", "https") or not parts.netloc:
        return False, classify.WRONG_URL.sentence
    try:
        with urllib3.PoolManager(timeout=urllib3.Timeout(3.0), retries=False) as pool:
            frame = pool.request("GET", f"{scheme}://{parts.netloc}/readyz")
    except urllib3.exceptions.HTTPError as error:
        return False, f"OpenClaw cannot be reached ({type(error).__name__})."
    return frame.status == 200, f"OpenClaw responds with {frame.status} to its readiness check."
