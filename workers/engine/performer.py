"""Performs effects: the one place where a value such as `HttpCall` becomes traffic through a gateway."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote
from uuid import UUID

import structlog

from models.db import session_scope
from models.rules.effects import AgentTurn, Answer, Call, HttpCall, ModelCall
from models.rules.schedule import Step
from models.services import provider_keys
from models.vault import Vault
from settings import OpenClawSettings
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.http import HttpGateway
from workers.gateways.openclaw import Cancelled, OpenClaw, RunRef, Status, StillRunning, Unknown, ref_for
from workers.gateways.providers import Providers

Json = Any
log = structlog.get_logger()

STOP_AGAIN = (0.5, 2.0, 0.0)  # seconds to wait after each try while the gateway cannot be reached


@dataclass(frozen=True)
class Attempt:
    """One attempt of one step, and how it speaks with its driver.

    `announce` must be called with the external reference before anything is sent; it returns once that is stored.
    `left_behind` is the reference of this very attempt if an earlier driver died during it.
    """

    execution_id: UUID
    user_id: UUID
    step: Step
    number: int
    cancel: Cancel
    announce: Callable[[Json], None]
    on_status: Callable[[str, Mapping[str, Any]], None]
    left_behind: Json = None

    @property
    def key(self) -> str:
        """The idempotency key of the effect: the same for every attempt, because the effect is the same."""
        # It travels in a header, where a node's id may hold what does not.
        return f"af:{self.execution_id}:{quote(self.step.node_id, safe='')}:{self.step.path}"


@dataclass(frozen=True)
class Gateways:
    """The ways out of a worker."""

    http: HttpGateway
    providers: Providers
    openclaw: OpenClaw
    openclaw_settings: OpenClawSettings
    vault: Vault


class Performs(Protocol):
    """What performs the effects of a run."""

    def perform(self, effect: Call, attempt: Attempt) -> Answer:
        """Perform `effect`, blocking the calling thread; raises `CallFailed`. Must be thread-safe."""

    def stop(self, reference: Json) -> None:
        """Stop what an earlier driver left behind under this reference, if it still goes on. Never raises."""


class Performer:
    """Performs through gateways. Thread-safe; raises `CallFailed` whenever there is no usable answer."""

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways

    def perform(self, effect: Call, attempt: Attempt) -> Answer:
        """Perform `effect`, blocking the calling thread."""
        if isinstance(effect, AgentTurn):
            return self._turn(effect, attempt)
        attempt.announce(None)
        if isinstance(effect, HttpCall):
            return self._gateways.http.perform(effect, cancel=attempt.cancel, idempotency_key=attempt.key)
        return self._model(effect, attempt)

    def stop(self, reference: Json) -> None:
        """Stop a turn that goes on in its gateway; other calls ended with their worker."""
        if "sessionKey" not in reference:
            return
        for pause in STOP_AGAIN:
            if self._gateways.openclaw.cancel(RunRef.from_json(reference)) is not Cancelled.UNCONFIRMED:
                return
            time.sleep(pause)
        log.warning("openclaw.turn_not_stopped", key=RunRef.from_json(reference).key)

    def _model(self, call: ModelCall, attempt: Attempt) -> Answer:
        with session_scope() as session:
            secret = provider_keys.secret_for(session, attempt.user_id, call.provider, vault=self._gateways.vault)
        if secret is None:
            raise CallFailed("provider_key_missing", f"No API key for {call.provider} is stored in this account.")
        try:
            return self._gateways.providers.call(
                call, api_key=secret, cancel=attempt.cancel, idempotency_key=f"{attempt.key}:{attempt.number}"
            )
        except CallFailed as failure:
            if failure.code == "provider_key_rejected":
                with session_scope() as session:
                    provider_keys.reject(session, attempt.user_id, call.provider)
            raise

    def _turn(self, turn: AgentTurn, attempt: Attempt) -> Answer:
        def on_status(status: Status) -> None:
            attempt.on_status(status.state, status.data)

        openclaw = self._gateways.openclaw
        if attempt.left_behind:
            found = openclaw.reconcile(
                turn, RunRef.from_json(attempt.left_behind), cancel=attempt.cancel, on_status=on_status
            )
            if isinstance(found, StillRunning):
                return found.attach()
            if isinstance(found, Unknown):
                raise CallFailed("outcome_unknown", found.reason, retryable=True, outcome="unknown")
            return found
        ref = ref_for(
            self._gateways.openclaw_settings,
            turn.agent_id,
            execution_id=str(attempt.execution_id),
            node_id=attempt.step.node_id,
            path=attempt.step.path,
            attempt=attempt.number,
        )
        return openclaw.turn(turn, ref, cancel=attempt.cancel, on_status=on_status, on_start=attempt.announce)
