"""Performs effects: the one place where a value such as `HttpCall` becomes a request through a gateway."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote
from uuid import UUID

import structlog

from models.db import session_scope
from models.rules.executions.schedule import Step
from models.rules.graph.effects import AgentTurn, EffectResult, HttpCall, ModelCall
from models.serialization import Json
from models.services.accounts import provider_keys
from models.services.workflows import openclaw_agents
from models.vault import Vault
from settings import OpenClawSettings
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.http.client import HttpGateway
from workers.gateways.openclaw import AGENT_REFUSED, Cancelled, OpenClaw, RunRef, Status, StillRunning, Unknown, ref_for
from workers.gateways.providers import Providers

OnEnd = Callable[[EffectResult | Exception], None]
log = structlog.get_logger()

STOP_AGAIN = (0.5, 2.0, 0.0)  # seconds to wait after each failed try to stop a turn


@dataclass(frozen=True)
class AttemptContext:
    """One attempt of one step, with the callbacks to its driver.

    `perform` must call `record_intent` with the external reference before anything is sent; it returns once that is
    stored. Of what is passed to `send` the start is stored already, or need not be.
    `in_flight_ref` is the reference of this same attempt if an earlier driver died during it.
    """

    execution_id: UUID
    user_id: UUID
    step: Step
    number: int
    cancel: Cancel
    record_intent: Callable[[Json], None]
    on_status: Callable[[str, Mapping[str, Any]], None]
    in_flight_ref: Json = None

    @property
    def key(self) -> str:
        """The idempotency key of the effect: the same for every attempt, because the effect is the same."""
        # It is sent in a header, and a node's id may contain characters that are not allowed there.
        return f"af:{self.execution_id}:{quote(self.step.node_id, safe='')}:{self.step.path}"


@dataclass(frozen=True)
class Gateways:
    """The gateways of a worker process."""

    http: HttpGateway
    providers: Providers
    openclaw: OpenClaw
    openclaw_settings: OpenClawSettings
    vault: Vault


class EffectExecutor(Protocol):
    """Performs the effects of a run."""

    def send(self, call: HttpCall, attempt: AttemptContext, on_end: OnEnd) -> None:
        """Begin an HTTP call and pass its result to `on_end`, in any thread. Must neither block nor raise."""

    def perform(self, effect: ModelCall | AgentTurn, attempt: AttemptContext) -> EffectResult:
        """Perform any other effect, blocking the calling thread; raises `CallFailed`. Must be thread-safe."""

    def stop(self, reference: Json) -> None:
        """Stop a call that an earlier driver left in progress under this reference. Never raises."""


class GatewayExecutor:
    """Performs effects through gateways. Thread-safe; raises `CallFailed` without a usable response."""

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways

    def send(self, call: HttpCall, attempt: AttemptContext, on_end: OnEnd) -> None:
        """Begin an HTTP call."""
        self._gateways.http.start(call, on_end, cancel=attempt.cancel, idempotency_key=attempt.key)

    def perform(self, effect: ModelCall | AgentTurn, attempt: AttemptContext) -> EffectResult:
        """Perform `effect`, blocking the calling thread."""
        if isinstance(effect, AgentTurn):
            return self._turn(effect, attempt)
        attempt.record_intent(None)
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

    def _model(self, call: ModelCall, attempt: AttemptContext) -> EffectResult:
        with session_scope() as session:
            secret = provider_keys.secret_for(session, attempt.user_id, call.provider, vault=self._gateways.vault)
        if secret is None:
            sentence = f"No API key for {call.provider} is stored in this account."
            raise CallFailed("provider_key_missing", sentence, sent=False)
        try:
            return self._gateways.providers.call(
                call, api_key=secret, cancel=attempt.cancel, idempotency_key=f"{attempt.key}:{attempt.number}"
            )
        except CallFailed as failure:
            if failure.code == "provider_key_rejected":
                with session_scope() as session:
                    provider_keys.reject(session, attempt.user_id, call.provider)
            raise

    def _turn(self, turn: AgentTurn, attempt: AttemptContext) -> EffectResult:
        try:
            return self._take_turn(turn, attempt)
        except CallFailed as failure:
            if failure.code == AGENT_REFUSED:
                with session_scope() as session:
                    openclaw_agents.withdraw(session, turn.agent_id or self._gateways.openclaw_settings.agent_id)
            raise

    def _take_turn(self, turn: AgentTurn, attempt: AttemptContext) -> EffectResult:
        def on_status(status: Status) -> None:
            attempt.on_status(status.state, status.data)

        openclaw = self._gateways.openclaw
        if attempt.in_flight_ref:
            found = openclaw.reconcile(
                turn, RunRef.from_json(attempt.in_flight_ref), cancel=attempt.cancel, on_status=on_status
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
        return openclaw.turn(turn, ref, cancel=attempt.cancel, on_status=on_status, on_start=attempt.record_intent)
