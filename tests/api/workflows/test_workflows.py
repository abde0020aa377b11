"""Workflows over HTTP: saved, listed, changed, linted, run."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import func, select

from models.rules.prices.pricing import Tier
from models.tables import Execution, Workflow
from tasks.queue import QueueName, TaskMessage, TaskName
from tests.support.api.graphs import link, node, two_steps, workflow


def created(client, **changes):
    answer = client.post("/api/workflows", json=workflow(**changes))
    assert answer.status_code == 201, answer.json
    return answer.json["workflow"]


def fields(answer) -> list[str]:
    return [item["field"] for item in answer.json["errors"]]


class TestSaving:
    def test_answers_what_was_saved_and_where_it_is(self, client):
        answer = client.post("/api/workflows", json=workflow())
        saved = answer.json["workflow"]
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"/api/workflows/{saved['id']}"
        assert set(saved) == {
            "id",
            "name",
            "description",
            "status",
            "problems",
            "version",
            "timeout",
            "maxQueueSeconds",
            "nodes",
            "connections",
            "readOnly",
            "readOnlyReason",
            "createdAt",
            "updatedAt",
        }
        assert (saved["status"], saved["version"]) == ("active", 1)
        assert (saved["readOnly"], saved["readOnlyReason"]) == (False, None)
        assert saved["createdAt"].endswith("Z")
        assert client.get(answer.headers["Location"]).json == {"workflow": saved}

    def test_keeps_what_the_app_adds_to_a_graph(self, client):
        graph = two_steps()
        graph["nodes"][0] |= {"color": "#ff0000", "position": {"x": -1e-7, "y": 3, "z": None}}
        graph["connections"][0]["animated"] = True
        saved = created(client, **graph)
        assert {"nodes": saved["nodes"], "connections": saved["connections"]} == graph

    def test_a_change_of_the_graph_is_a_new_version(self, client):
        saved = created(client)
        address = f"/workflows/{saved['id']}"
        renamed = client.put(address, json={"name": "Other"}).json["workflow"]
        assert (renamed["name"], renamed["version"], renamed["nodes"]) == ("Other", 1, saved["nodes"])
        grown = two_steps()
        grown["nodes"].append(node("more", "output"))
        grown["connections"].append(link("in", "more"))
        changed = client.put(address, json=workflow(**grown)).json["workflow"]
        assert (changed["version"], len(changed["nodes"])) == (2, 3)

    def test_connections_alone_are_no_graph(self, client):
        answer = client.put(f"/workflows/{created(client)['id']}", json={"connections": [link("in", "out")]})
        assert (answer.status_code, fields(answer)) == (422, ["nodes"])

    def test_deleting_hides_it(self, client):
        address = f"/workflows/{created(client)['id']}"
        answer = client.delete(address)
        assert (answer.status_code, answer.data) == (204, b"")
        assert client.get(address).status_code == 404
        assert client.delete(address).status_code == 404
        assert client.get("/workflows").json["workflows"] == []

    def test_a_tier_has_its_limits(self, client):
        for _ in range(3):
            created(client)
        answer = client.post("/workflows", json=workflow())
        assert (answer.status_code, answer.json["code"]) == (403, "workflow_limit_reached")
        assert (answer.json["limit"], answer.json["current"]) == (3, 3)

    def test_a_tier_has_its_size(self, client, session):
        nodes = [node(f"n{number}", "input") for number in range(11)]
        answer = client.post("/workflows", json=workflow(nodes=nodes, connections=[]))
        assert (answer.status_code, answer.json["code"]) == (403, "node_limit_reached")
        assert (answer.json["limit"], answer.json["current"]) == (10, 11)
        assert session.scalar(select(func.count()).select_from(Workflow)) == 0


class TestAfterADowngrade:
    @pytest.fixture
    def downgraded(self, client, user, session):
        """The addresses of five workflows, the oldest first; the tier of their owner allows three."""
        user.subscription_tier = Tier.PREMIUM
        session.commit()
        addresses = [f"/workflows/{created(client)['id']}" for _ in range(5)]
        for days, address in enumerate(addresses):
            session.get_one(Workflow, UUID(address[-36:])).created_at = datetime(2026, 1, 1 + days, tzinfo=UTC)
        assert client.post(f"{addresses[4]}/execute").status_code == 202
        user.subscription_tier = Tier.FREE
        session.commit()
        return addresses

    def test_lists_say_which_workflows_are_read_only_and_why(self, client, downgraded):
        listed = client.get("/workflows").json["workflows"]
        assert [item["readOnly"] for item in listed] == [True, True, False, False, False]
        assert [item["readOnlyReason"] for item in listed[2:]] == [None] * 3
        for said in ("free tier", "3 workflows", "delete", "higher tier"):
            assert said in listed[0]["readOnlyReason"]

    def test_those_refuse_changes_and_runs_with_that_sentence(self, client, downgraded, sent):
        reason = client.get(downgraded[4]).json["workflow"]["readOnlyReason"]
        before = list(sent)
        put = client.put(downgraded[4], json={"name": "Other"})
        run = client.post(f"{downgraded[4]}/execute", json={})
        for answer in (put, run):
            assert (answer.status_code, answer.json["code"], answer.json["detail"]) == (
                403,
                "workflow_read_only",
                reason,
            )
        assert sent == before

    def test_their_history_can_be_read(self, client, downgraded):
        assert client.get(f"{downgraded[4]}/executions").json["count"] == 1

    def test_the_others_go_on(self, client, downgraded):
        for address in downgraded[:3]:
            assert client.put(address, json={"name": "Other"}).json["workflow"]["readOnly"] is False
            assert client.post(f"{address}/execute").status_code == 202

    def test_deleting_one_makes_the_next_one_writable(self, client, downgraded):
        assert client.delete(downgraded[0]).status_code == 204
        assert client.put(downgraded[3], json={"name": "Other"}).status_code == 200
        assert client.put(downgraded[4], json={"name": "Other"}).status_code == 403
        assert client.delete(downgraded[4]).status_code == 204


class TestListing:
    def test_pages_by_offset_and_by_cursor(self, sign_in, new_user):
        client = sign_in(new_user("grace@example.com", tier=Tier.PREMIUM))
        names = [created(client, name=f"w{number}")["name"] for number in range(5)]
        first = client.get("/workflows?limit=2").json
        assert set(first) == {"workflows", "count", "limit", "offset", "nextCursor"}
        assert (first["count"], first["limit"], first["offset"]) == (2, 2, 0)
        by_offset = client.get("/workflows?limit=2&offset=2").json
        by_cursor = client.get(f"/workflows?limit=2&cursor={first['nextCursor']}").json
        assert by_offset["workflows"] == by_cursor["workflows"]
        last = client.get(f"/workflows?limit=2&cursor={by_cursor['nextCursor']}").json
        seen = [item["name"] for page in (first, by_cursor, last) for item in page["workflows"]]
        assert sorted(seen) == sorted(names)
        assert last["nextCursor"] is None

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("limit=0", "limit"),
            ("limit=-1", "limit"),
            ("limit=", "limit"),
            ("limit=1e3", "limit"),
            ("limit=many", "limit"),
            ("limit=1.5", "limit"),
            ("offset=-1", "offset"),
            (f"offset={2**63}", "offset"),
            ("offset=1e3", "offset"),
            ("offset=1_0", "offset"),
            ("limit=%D9%A3", "limit"),
            ("cursor=%00", "cursor"),
            ("cursor=bm90IG91cnM", "cursor"),
            ("cursor=" + "x" * 201, "cursor"),
        ],
    )
    def test_names_the_argument_that_is_wrong(self, client, query, field):
        answer = client.get(f"/workflows?{query}")
        assert (answer.status_code, fields(answer)) == (422, [field])

    @pytest.mark.parametrize("limit", ["101", "1000", "0101", "9" * 40])
    def test_shows_at_most_a_hundred_for_any_limit(self, client, limit):
        answer = client.get(f"/workflows?limit={limit}")
        assert (answer.status_code, answer.json["limit"]) == (200, 100)

    def test_ignores_arguments_that_it_does_not_know(self, client):
        assert client.get("/workflows?_=1700000000&utm=x").status_code == 200

    def test_far_beyond_the_end_there_is_nothing(self, client):
        assert client.get(f"/workflows?offset={2**63 - 1}").json["workflows"] == []


class TestExecuting:
    def test_accepts_with_the_address_of_the_run(self, client, sent):
        workflow_id = created(client)["id"]
        answer = client.post(f"/api/workflows/{workflow_id}/execute", json={"input": {"text": "hello"}})
        assert answer.status_code == 202
        assert set(answer.json) == {"id", "executionId", "status", "statusUrl", "eventsUrl", "cancelUrl"}
        execution_id = answer.json["executionId"]
        assert answer.json["id"] == execution_id
        assert answer.json["status"] == "queued"
        assert answer.json["statusUrl"] == answer.headers["Location"] == f"/api/executions/{execution_id}"
        assert answer.json["cancelUrl"] == f"/api/executions/{execution_id}/cancel"
        assert int(answer.headers["Retry-After"]) > 0
        assert client.get(answer.json["statusUrl"]).json["status"] == "queued"
        ids, shown = {"execution_id": execution_id}, {"workflow_id": workflow_id}
        assert sent == [TaskMessage(TaskName.DRIVE_EXECUTION, QueueName.EXECUTIONS_LOW, ids, shown)]

    def test_needs_no_body(self, client):
        assert client.post(f"/workflows/{created(client)['id']}/execute").status_code == 202

    def test_holds_what_it_may_cost(self, client):
        client.post(f"/workflows/{created(client)['id']}/execute", json={"input": 1})
        assert client.get("/credits/balance").json["held"] == 1.2

    def test_refuses_what_the_owner_cannot_pay_and_queues_nothing(self, sign_in, new_user, session, sent):
        client = sign_in(new_user("poor@example.com", balance=0))
        answer = client.post(f"/api/workflows/{created(client)['id']}/execute", json={"input": "hello"})
        assert (answer.status_code, answer.json["code"]) == (402, "insufficient_credits")
        assert session.scalar(select(func.count()).select_from(Execution)) == 0
        assert sent == []

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"maxCredits": -1}, "maxCredits"),
            ({"maxCredits": "10"}, "maxCredits"),
            ({"maxCredits": True}, "maxCredits"),
            ({"maxCredits": 0.001}, "maxCredits"),
            ({"maxCredits": 10**12}, "maxCredits"),
            ({"maxCredits": 1e308}, "maxCredits"),
            ({"priority": "urgent"}, "priority"),
        ],
        ids=str,
    )
    def test_names_the_field_that_is_wrong_and_stores_nothing(self, client, session, sent, body, field):
        answer = client.post(f"/workflows/{created(client)['id']}/execute", json=body)
        assert (answer.status_code, fields(answer)) == (422, [field])
        assert session.scalar(select(func.count()).select_from(Execution)) == 0
        assert sent == []

    def test_lists_the_runs_of_one_workflow(self, client):
        workflow_id = created(client)["id"]
        run = client.post(f"/workflows/{workflow_id}/execute").json["id"]
        client.post(f"/workflows/{created(client)['id']}/execute")
        answer = client.get(f"/workflows/{workflow_id}/executions?limit=5")
        assert set(answer.json) == {"executions", "count", "limit", "offset", "nextCursor"}
        assert [item["id"] for item in answer.json["executions"]] == [run]
        assert UUID(run)
