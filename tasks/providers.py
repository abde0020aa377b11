"""Ask providers whether they accept a stored key, and OpenClaw which agents it has."""

from uuid import UUID

import structlog
from celery import shared_task

from models.db import session_scope
from models.services.workflows import openclaw_agents
from tasks.bootstrap import gateways, settings
from tasks.queue import TaskName
from workers.gateways.base import CallFailed
from workers.gateways.openclaw import offered_agents
from workers.provider_keys import try_out

log = structlog.get_logger()


@shared_task(name=TaskName.LIST_AGENTS, send_events=False)
def list_agents() -> None:
    """Store the list of OpenClaw's agents, by which the API validates graphs.

    While OpenClaw is unreachable the old list expires and is ignored.
    """
    try:
        existing = gateways().openclaw.agents()
    except CallFailed as failure:
        log.warning("openclaw.agents_not_listed", code=failure.code)
        return
    with session_scope() as session:
        openclaw_agents.keep(session, offered_agents(settings.openclaw, existing))


@shared_task(name=TaskName.TEST_KEY)
def try_key(key_id: str) -> None:
    """Ask the provider whether it accepts a key. Safe to deliver twice: the question costs nothing."""
    try_out(UUID(key_id), gateways().providers, gateways().vault)
