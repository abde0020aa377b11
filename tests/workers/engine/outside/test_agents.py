"""A run whose agent is refused says which one, and the list that saves are judged by loses it."""

import pytest

from models.db import session_scope
from models.services.workflows import openclaw_agents
from tests.workers.engine.outside.conftest import Outside, turn


def submit(outside: Outside, agent: str):
    with session_scope() as session:
        openclaw_agents.keep(session, [agent, "other"])
    asking = turn("ask", "Hi", retry={"maxAttempts": 3, "initialInterval": 0})
    asking["config"]["agentId"] = agent
    return outside.submit([asking])


@pytest.mark.parametrize("outside", [{"agents": ("main", "other")}], indirect=True)
@pytest.mark.parametrize("agent", ["flow", "writer"], ids=["that the gateway has no more", "that is not offered"])
def test_an_agent_that_is_refused_is_named_and_withdrawn(outside: Outside, agent: str):
    execution_id = submit(outside, agent)
    outside.in_background(execution_id)()
    node = outside.nodes(execution_id)["ask"]
    assert (outside.execution(execution_id).status, node.attempt) == ("failed", 1)
    assert node.error["code"] == "openclaw_agent_not_allowed"
    assert agent in node.error["message"]
    with session_scope() as session:
        assert openclaw_agents.offered(session) == ["other"]
