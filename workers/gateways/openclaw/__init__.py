"""OpenClaw, the gateway that runs single agent turns: the public names, and the choice of driver.

The graph, its joins and its retries are ours; the gateway does not know them. Callers use `make_openclaw` only.
"""

from settings import OpenClawSettings
from workers.gateways.openclaw.classify import WRONG_AGENT
from workers.gateways.openclaw.contract import (
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
from workers.gateways.openclaw.http import HttpOpenClaw
from workers.gateways.openclaw.ws import AGENT_ID, SocketOpenClaw

AGENT_REFUSED = WRONG_AGENT.code

__all__ = [
    "AGENT_REFUSED",
    "Cancelled",
    "Health",
    "OpenClaw",
    "RunRef",
    "State",
    "Status",
    "StillRunning",
    "Unknown",
    "make_openclaw",
    "offered_agents",
    "ref_for",
    "run_ref",
]


def make_openclaw(settings: OpenClawSettings) -> OpenClaw:
    """Build the driver that the settings name; it connects on first use."""
    if settings.driver == "http":
        return HttpOpenClaw(settings)
    return SocketOpenClaw(settings)


def offered_agents(settings: OpenClawSettings, existing: frozenset[str]) -> tuple[str, ...]:
    """The agents that nodes may name: those in the settings that the gateway has (`existing`, in lower case)."""
    in_settings = dict.fromkeys((settings.agent_id, *filter(AGENT_ID.fullmatch, settings.agents)))
    return tuple(name for name in in_settings if name.lower() in existing)


def ref_for(
    settings: OpenClawSettings,
    agent_id: str | None,
    *,
    execution_id: str,
    node_id: str,
    path: str = "",
    attempt: int = 1,
) -> RunRef:
    """Build the reference of an attempt in this deployment; `agent_id` None means the default agent."""
    return run_ref(
        deployment_id=settings.deployment_id,
        agent_id=agent_id or settings.agent_id,
        execution_id=execution_id,
        node_id=node_id,
        path=path,
        attempt=attempt,
    )
