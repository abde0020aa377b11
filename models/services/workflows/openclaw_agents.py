"""The OpenClaw agents that nodes may name. Workers update the list; graphs are validated by it while it is fresh."""

from collections.abc import Iterable, Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.graph.findings import Finding
from models.rules.lint.agents import judge_agents
from models.serialization import Json, to_json

FRESH_SECONDS = 900  # several times the interval between two updates

_KEEP = text("""
    INSERT INTO openclaw_agents (agents, listed_at) VALUES (CAST(:agents AS jsonb), now())
        ON CONFLICT (one) DO UPDATE SET agents = excluded.agents, listed_at = excluded.listed_at
""")
_WITHDRAW = text("UPDATE openclaw_agents SET agents = agents - CAST(:agent AS text) WHERE agents ? :agent")
_OFFERED = text("SELECT agents FROM openclaw_agents WHERE listed_at > now() - make_interval(secs => :fresh)")


def keep(session: Session, agents: Sequence[str]) -> None:
    """Store the complete list of the agents that nodes may name."""
    session.execute(_KEEP, {"agents": to_json(list(agents))})


def withdraw(session: Session, agent_id: str) -> None:
    """Remove an agent that OpenClaw just rejected; the next list may have it again."""
    session.execute(_WITHDRAW, {"agent": agent_id})


def offered(session: Session) -> Sequence[str] | None:
    """The ids of the existing agents; None while there is no fresh list."""
    found: Sequence[str] | None = session.scalar(_OFFERED, {"fresh": FRESH_SECONDS})
    return found


def judge(session: Session, kept: Iterable[Json]) -> tuple[Finding, ...]:
    """The errors of the agents that a version names; makes no query for a version without agents."""
    return judge_agents(kept, offered(session)) if kept else ()
