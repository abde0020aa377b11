"""Placeholder while the driver is being written."""

from models.rules.effects import AgentTurn, TextAnswer
from settings import OpenClawSettings
from workers.gateways.base import CallFailed, Cancel, Deadline
from workers.gateways.openclaw_types import Cancelled, Health, OnStart, OnStatus, RunRef, StillRunning, Unknown


class HttpOpenClaw:
    """Not there yet."""

    def __init__(self, settings: OpenClawSettings) -> None:
        self._settings = settings

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
        raise CallFailed("openclaw_missing", "This driver is not built yet.")

    def reconcile(
        self, turn: AgentTurn, ref: RunRef, *, cancel: Cancel, on_status: OnStatus, deadline: Deadline | None = None
    ) -> TextAnswer | StillRunning | Unknown:
        return Unknown("This driver is not built yet.")

    def cancel(self, ref: RunRef) -> Cancelled:
        return Cancelled.UNCONFIRMED

    def health(self) -> Health:
        return Health(False, "This driver is not built yet.")

    def close(self) -> None:
        return None
