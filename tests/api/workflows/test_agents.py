"""A graph that names an agent which OpenClaw has not is kept as a draft, by the list that workers keep."""

from typing import Any

import pytest
from sqlalchemy import text

from models.services.workflows import openclaw_agents
from tests.support.api.graphs import link, node, workflow

TOLD = 'Node "ask", `agentId`: OpenClaw has no agent `writer` here. There are: flow, research.'


def asking(agent: str | None = "writer") -> dict[str, Any]:
    nodes = [node("in", "input"), node("ask", "ai_agent", prompt="Hi", agentId=agent)]
    return workflow(nodes=nodes, connections=[link("in", "ask")])


@pytest.fixture
def listed(session):
    """Tells which agents there are, as a worker does."""

    def keep(*agents: str) -> None:
        openclaw_agents.keep(session, agents)
        session.commit()

    return keep


@pytest.fixture
def address(client, listed) -> str:
    """Where a workflow is that names an agent which is not there."""
    listed("flow", "research")
    return client.post("/workflows", json=asking()).headers["Location"]


class TestAnUnknownAgent:
    def test_makes_a_draft_that_says_why(self, client, address):
        saved = client.get(address).json["workflow"]
        problem = {"field": "nodes.1.config.agentId", "message": TOLD, "nodeId": "ask"}
        assert (saved["status"], saved["problems"]) == ("draft", [problem])
        assert saved["nodes"][1]["config"]["agentId"] == "writer"
        run = client.post(f"{address}/execute", json={})
        assert (run.status_code, run.json["code"]) == (422, "invalid_graph")
        assert TOLD in run.json["message"]

    def test_is_an_error_of_the_linter(self, client, address):
        report = client.post("/workflows/validate", json=asking()).json
        assert [(found["code"], found["nodeId"]) for found in report["errors"]] == [("unknown_agent", "ask")]
        assert (report["valid"], report["worstCaseCredits"] > 0) == (False, True)

    def test_is_none_any_more_once_it_is_there(self, client, address, listed):
        tag = client.get(address).headers["ETag"]
        listed("flow", "research", "writer")
        shown = client.get(address, headers={"If-None-Match": tag})
        assert (shown.json["workflow"]["status"], shown.json["workflow"]["problems"]) == ("active", [])
        assert client.post(f"{address}/execute", json={}).status_code == 202

    def test_is_found_with_the_drafts(self, client, address, listed):
        assert client.get("/workflows?status=draft").json["count"] == 1
        assert client.get("/workflows?status=active").json["count"] == 0
        listed("writer")
        assert client.get("/workflows?status=draft").json["count"] == 0
        assert client.get("/workflows?status=active").json["count"] == 1

    def test_below_stops_what_runs_it(self, client, address):
        sub = node("sub", "subworkflow", workflowId=address.rpartition("/")[2])
        above = client.post("/workflows", json=workflow(name="Above", nodes=[sub], connections=[])).json["workflow"]
        assert above["status"] == "draft"
        assert "OpenClaw has no agent `writer` here" in above["problems"][0]["message"]

    def test_keeps_a_run_from_being_repeated(self, client, listed):
        made = client.post("/workflows", json=asking()).json["workflow"]["id"]
        run = client.post(f"/workflows/{made}/execute", json={}).json["id"]
        client.post(f"/executions/{run}/cancel", json={})
        listed("flow")
        answer = client.post(f"/executions/{run}/retry", json={})
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_graph")


class TestTheList:
    @pytest.mark.parametrize("agent", ["flow", "research", None, "", "{{ input.agent }}"])
    def test_has_no_say_about_others(self, client, listed, agent):
        listed("flow", "research")
        assert client.post("/workflows", json=asking(agent)).json["workflow"]["problems"] == []

    def test_that_is_not_there_or_old_judges_nothing(self, client, session, listed):
        assert client.post("/workflows", json=asking()).json["workflow"]["status"] == "active"
        listed("flow")
        saved = client.post("/workflows", json=asking())
        assert saved.json["workflow"]["status"] == "draft"
        session.execute(text("UPDATE openclaw_agents SET listed_at = now() - interval '20 minutes'"))
        session.commit()
        assert client.get(saved.headers["Location"]).json["workflow"]["status"] == "active"
        assert client.post("/workflows/validate", json=asking()).json["valid"] is True

    def test_loses_an_agent_that_was_refused_and_gets_it_back_with_the_next(self, session, listed):
        listed("flow", "writer")
        for agent in ("writer", "writer", "never there"):
            openclaw_agents.withdraw(session, agent)
        assert openclaw_agents.offered(session) == ["flow"]
        listed("flow", "writer")
        assert openclaw_agents.offered(session) == ["flow", "writer"]

    def test_with_none_refuses_all(self, client, listed):
        listed()
        told = client.post("/workflows", json=asking()).json["workflow"]["problems"][0]["message"]
        assert told == 'Node "ask", `agentId`: OpenClaw has no agent `writer` here.'
