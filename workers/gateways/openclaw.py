"""OpenClaw, the gateway that performs single agent turns: what callers import, and the choice of driver.

The graph, its joins and its retries are ours; the gateway knows nothing of them. `make_openclaw` is the only
constructor that the rest of the worker needs.
"""

from settings import OpenClawSettings
from workers.gateways.openclaw_http import HttpOpenClaw
from workers.gateways.openclaw_types import (
    Cancelled,
    Health,
    OpenClaw,
    RunRef,
    State,
    Status,
    StillRunning,
    Unknown,
    run_ref,
)
from workers.gateways.openclaw_ws import SocketOpenClaw

__all__ = [
    "Cancelled",
    "Health",
    "OpenClaw",
    "RunRef",
    "State",
    "Status",
    "StillRunning",
    "Unknown",
    "make_openclaw",
    "ref_for",
    "run_ref",
]


def make_openclaw(settings: OpenClawSettings) -> OpenClaw:
    """Build the driver that the settings name; connects when it is first used."""
    if settings.driver == "http":
        return HttpOpenClaw(settings)
    return SocketOpenClaw(settings)


def ref_for(
    settings: OpenClawSettings,
    agent_id: str | None,
    *,
    execution_id: str,
    node_id: str,
    path: str = "",
    attempt: int = 1,
) -> RunRef:
    """Name an attempt within this deployment; `agent_id` None means the deployment's default agent."""
    return run_ref(
        deployment_id=settings.deployment_id,
        agent_id=agent_id or settings.agent_id,
        execution_id=execution_id,
        node_id=node_id,
        path=path,
        attempt=attempt,
    )
