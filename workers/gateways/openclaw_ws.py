"""The WebSocket driver: the gateway's own protocol, with keys, events, aborts and recovery."""

import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import urllib3

from models.rules.effects import AgentTurn, TextAnswer
from settings import OpenClawSettings
from workers.gateways import openclaw_classify as classify
from workers.gateways.base import CallFailed, Cancel, Deadline
from workers.gateways.openclaw_caller import Caller, Stopped, Tuning
from workers.gateways.openclaw_line import Line
from workers.gateways.openclaw_socket import LinkLost
from workers.gateways.openclaw_talk import Talk
from workers.gateways.openclaw_types import (
    Cancelled,
    Health,
    OnStart,
    OnStatus,
    RunRef,
    StillRunning,
    Unknown,
)
from workers.gateways.openclaw_watch import Slots

WORD_JOINER = "\u2060"
AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class SocketOpenClaw:
    """Turns over one shared connection; see `openclaw_types.OpenClaw`. Threads block, the connection does not."""

    def __init__(self, settings: OpenClawSettings, tuning: Tuning | None = None) -> None:
        self._settings = settings
        self._tuning = tuning or Tuning()
        self._line = Line(settings)
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
    ) -> TextAnswer:
        """Run one turn to its end; raises `CallFailed`."""
        with self._talk(turn, ref, cancel, on_status, deadline) as talk:
            return self._in_slot(talk, lambda: talk.begin(on_start))

    def reconcile(
        self, turn: AgentTurn, ref: RunRef, *, cancel: Cancel, on_status: OnStatus, deadline: Deadline | None = None
    ) -> TextAnswer | StillRunning | Unknown:
        """Find a dead worker's run again: alive under the same boot id, or in the ledger under a new one."""
        if ref.boot_id is None:
            return Unknown("Nothing says that this turn was ever sent.")
        with self._talk(turn, ref, cancel, on_status, deadline) as talk:
            try:
                link = talk.connect(Deadline(self._tuning.patience))
                if link.boot_id == ref.boot_id:
                    return StillRunning(lambda: self._attach(turn, ref, cancel, on_status, deadline))
                return talk.settle(link)
            except Stopped as stop:
                raise stop.cause.failure() from None
            except LinkLost:
                return Unknown(classify.LOST.sentence)
            except CallFailed as failure:
                if failure.outcome == "unknown":
                    return Unknown(failure.detail)
                raise

    def _attach(
        self, turn: AgentTurn, ref: RunRef, cancel: Cancel, on_status: OnStatus, deadline: Deadline | None
    ) -> TextAnswer:
        with self._talk(turn, ref, cancel, on_status, deadline) as talk:

            def follow() -> TextAnswer:
                try:
                    link = talk.connect(Deadline(self._tuning.patience))
                except Stopped as stop:
                    raise stop.cause.failure() from None
                return talk.resume(link)

            return self._in_slot(talk, follow)

    def cancel(self, ref: RunRef) -> Cancelled:
        """Stop a run from outside; never raises."""
        with self._plain_talk(ref) as talk:
            talk.accepted = talk.stopping = True
            if not talk.abort():
                return Cancelled.UNCONFIRMED
            return Cancelled.STOPPED if talk.stopped_one else Cancelled.NOT_RUNNING

    def health(self) -> Health:
        """Readiness as the gateway reports it, and whether it says hello to us."""
        ready, detail = is_ready(self._settings.url)
        if not ready:
            return Health(False, detail)
        with Caller(
            self._line,
            RunRef("health", "health"),
            cancel=Cancel(),
            on_status=lambda status: None,
            deadline=None,
            tuning=self._tuning,
        ) as caller:
            try:
                link = caller.connect(Deadline(1.0))
            except CallFailed as failure:
                return Health(False, failure.detail)
        return Health(True, "OpenClaw is ready.", link.version, link.boot_id, link.scopes)

    def close(self) -> None:
        """Close the connection."""
        self._line.close()

    def _in_slot(self, talk: Talk, work: Callable[[], TextAnswer]) -> TextAnswer:
        talk.take_slot(self._slots)
        try:
            return work()
        finally:
            self._slots.release()

    def _plain_talk(self, ref: RunRef) -> Talk:
        return self._make(AgentTurn(""), ref, {}, Cancel(), lambda status: None, None)

    def _talk(
        self, turn: AgentTurn, ref: RunRef, cancel: Cancel, on_status: OnStatus, deadline: Deadline | None
    ) -> Talk:
        return self._make(turn, ref, frame_for(self._settings, turn, ref), cancel, on_status, deadline)

    def _make(
        self,
        turn: AgentTurn,
        ref: RunRef,
        frame: dict[str, Any],
        cancel: Cancel,
        on_status: OnStatus,
        deadline: Deadline | None,
    ) -> Talk:
        return Talk(
            self._line, ref, turn, frame, cancel=cancel, on_status=on_status, deadline=deadline, tuning=self._tuning
        )


def frame_for(settings: OpenClawSettings, turn: AgentTurn, ref: RunRef) -> dict[str, Any]:
    """The parameters of `agent`, the same for every repeat of an attempt; raises `CallFailed` for a foreign agent."""
    frame: dict[str, Any] = {
        "message": as_data(turn.prompt),
        "idempotencyKey": ref.key,
        "agentId": allowed_agent(settings, turn.agent_id),
        "sessionKey": ref.session_key,
        "deliver": False,
        # Without it the gateway's own limit of two days counts.
        "timeout": max(1, math.ceil(turn.timeout)),
    }
    if turn.system:
        frame["extraSystemPrompt"] = turn.system
    return frame


def as_data(prompt: str) -> str:
    """The prompt, with an invisible character before what the gateway would take for a command (`/new`, `/reset`)."""
    return WORD_JOINER + prompt if prompt.lstrip().startswith("/") else prompt


def allowed_agent(settings: OpenClawSettings, agent_id: str | None) -> str:
    """The agent to speak with; raises `CallFailed` for one that the deployment does not offer to its users."""
    if agent_id is None or agent_id == settings.agent_id:
        return settings.agent_id
    if agent_id not in settings.agents or not AGENT_ID.fullmatch(agent_id):
        raise classify.WRONG_AGENT.failure()
    return agent_id


def is_ready(url: str) -> tuple[bool, str]:
    """Ask `/readyz`, which needs no token; the sentence says why not."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    if scheme not in ("http", "https") or not parts.netloc:
        return False, classify.WRONG_URL.sentence
    try:
        with urllib3.PoolManager(timeout=urllib3.Timeout(3.0), retries=False) as pool:
            answer = pool.request("GET", f"{scheme}://{parts.netloc}/readyz")
    except urllib3.exceptions.HTTPError as error:
        return False, f"OpenClaw cannot be reached ({type(error).__name__})."
    return answer.status == 200, f"OpenClaw answers {answer.status} when asked whether it is ready."
