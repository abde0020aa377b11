"""A scope to write is none to read: no answer shows a key what its scopes do not let it read."""

from uuid import UUID

import pytest
from sqlalchemy import func, update

from api.auth.scopes import ALWAYS_VISIBLE, QUOTING, read_by
from models.errors import ForgeError
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.rules.prices.pricing import Tier
from models.tables import Execution, KeyScope, NodeExecution
from tests.support.api.graphs import workflow
from tests.support.api.routes import api_routes, belongings, call_route

WRITING = (KeyScope.WORKFLOWS_WRITE, KeyScope.EXECUTIONS_RUN, KeyScope.BILLING_WRITE)
CANARY = "canary-in-a-graph"


@pytest.fixture
def owner(new_user):
    return new_user("owner@example.com", tier=Tier.ENTERPRISE)


@pytest.fixture
def client(sign_in, owner):
    return sign_in(owner)


@pytest.fixture
def program(app, client):
    """Makes clients with a key of these scopes."""

    def made(*scopes):
        key = client.post("/access-keys", json={"name": "Program", "scopes": list(scopes)}).json["key"]
        program = app.test_client()
        program.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        return program

    return made


def leaves(document):
    """The names under which an answer says anything."""
    if isinstance(document, list):
        return set().union(*(leaves(item) for item in document)) if document else set()
    return {
        leaf
        for name, value in document.items()
        for leaf in (leaves(value) if isinstance(value, dict | list) else {name})
    }


class TestWriters:
    def test_read_nothing_from_any_route(self, app, client, sign_in, owner, session, program):
        """Generated from the URL map: all scopes that write, none that reads."""
        ids = belongings(client, sign_in(owner), session, owner)
        writer = program(*WRITING)
        writing = list(api_routes(app, lambda route: route.is_ours and route.method != "GET"))
        answers = {str(route): call_route(app, writer, route, ids) for route in writing}
        told = {route: answer.json for route, answer in answers.items() if answer.status_code < 300 and answer.data}
        assert len(told) > 5, {route: answer.status_code for route, answer in answers.items()}
        assert {route: leaves(document) - ALWAYS_VISIBLE for route, document in told.items()} == {
            route: set() for route in told
        }

    def test_do_not_read_a_workflow_by_changing_nothing(self, client, program):
        made = client.post("/workflows", json=workflow(name=CANARY)).json["workflow"]
        answer = program(KeyScope.WORKFLOWS_WRITE).put(f"/workflows/{made['id']}", json={})
        assert answer.status_code == 200
        assert answer.json == {"workflow": {"id": made["id"], "status": made["status"], "version": 1}}
        assert answer.headers["Missing-Scope"] == "workflows:read"

    def test_read_what_they_change_with_both_scopes(self, client, program):
        made = client.post("/workflows", json=workflow(name=CANARY)).json["workflow"]
        both = program(KeyScope.WORKFLOWS_WRITE, KeyScope.WORKFLOWS_READ)
        assert both.put(f"/workflows/{made['id']}", json={}).json["workflow"]["name"] == CANARY

    def test_do_not_read_a_run_by_cancelling_it(self, client, program):
        made = client.post("/workflows", json=workflow(name=CANARY)).json["workflow"]["id"]
        run = client.post(f"/workflows/{made}/execute", json={"input": CANARY}).json["id"]
        answer = program(KeyScope.EXECUTIONS_RUN).post(f"/executions/{run}/cancel", json={})
        assert (answer.status_code, answer.json) == (202, {"id": run, "status": "cancelled", "creditsCharged": 0})

    def test_get_the_address_of_the_run_that_they_start(self, client, program):
        made = client.post("/workflows", json=workflow()).json["workflow"]["id"]
        answer = program(KeyScope.EXECUTIONS_RUN).post(f"/workflows/{made}/execute", json={})
        assert set(answer.json) == {"id", "executionId", "status", "statusUrl", "eventsUrl", "cancelUrl"}

    def test_do_not_read_a_stored_response_of_a_reading_key(self, client, program):
        once = {"Idempotency-Key": "once"}
        client.post("/workflows", json=workflow(name=CANARY), headers=once)
        again = program(KeyScope.WORKFLOWS_WRITE).post("/workflows", json=workflow(name=CANARY), headers=once)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert CANARY not in again.text

    def test_do_not_learn_the_balance_by_using_something_up(self, client, program):
        made = client.post("/workflows", json=workflow()).json["workflow"]["id"]
        used = {"resourceType": "storage_mb", "amount": 1, "workflowId": made}
        answer = program(KeyScope.EXECUTIONS_RUN).post("/usage/track", json=used)
        assert set(answer.json) == {"success", "creditsCharged"}


BROKEN = {"id": "n", "type": "api_call", "label": CANARY, "config": {"url": f"ftp://{CANARY}", "method": "GET"}}
QUOTED = "`url` must begin with"  # what is said of it


class TestRefusals:
    """Errors do not reveal stored data either."""

    @pytest.fixture
    def broken(self, client):
        """A draft that cannot run."""
        draft = workflow(nodes=[BROKEN], connections=[], status="draft")
        return client.post("/workflows", json=draft).json["workflow"]["id"]

    @pytest.mark.parametrize("body", [{"status": "active"}, {"status": "active", "nodes": [BROKEN]}])
    def test_of_a_change_do_not_show_the_graph(self, broken, client, program, body):
        assert QUOTED in client.put(f"/workflows/{broken}", json=body).text
        answer = program(KeyScope.WORKFLOWS_WRITE).put(f"/workflows/{broken}", json=body)
        assert answer.status_code == 200
        assert CANARY not in answer.text
        assert answer.headers["Missing-Scope"] == "workflows:read"

    def test_of_a_run_do_not_show_the_graph(self, broken, client, program):
        assert QUOTED in client.post(f"/workflows/{broken}/execute", json={}).text
        for body in ({}, {"nodes": [], "connections": []}):
            answer = program(KeyScope.EXECUTIONS_RUN, KeyScope.EXECUTIONS_READ).post(
                f"/workflows/{broken}/execute", json=body
            )
            assert answer.status_code == 422
            assert QUOTED not in answer.text

    def test_of_ones_own_graph_are_kept_for_those_who_may_read(self, client, program):
        answer = program(KeyScope.WORKFLOWS_WRITE).post("/workflows", json=workflow(nodes=[BROKEN], connections=[]))
        assert (answer.status_code, answer.headers["Missing-Scope"]) == (201, "workflows:read")
        assert CANARY not in answer.text
        kept = client.get("/workflows").json["workflows"][0]["id"]
        assert QUOTED in client.get(f"/workflows/{kept}").text

    def test_of_a_retry_do_not_name_nodes(self, client, program, session):
        pay = {"id": CANARY, "type": "api_call", "label": "Pay", "sideEffects": "once"}
        pay["config"] = {"url": "https://example.com", "method": "POST"}
        made = client.post("/workflows", json=workflow(nodes=[pay], connections=[])).json["workflow"]["id"]
        run = client.post(f"/workflows/{made}/execute", json={}).json["id"]
        session.add(NodeExecution(execution_id=UUID(run), node_id=CANARY, status=NodeStatus.FAILED, attempt=1))
        over = {
            "status": ExecutionStatus.FAILED,
            "finished_at": func.now(),
            "error": {"code": "timeout", "message": ""},
        }
        session.execute(update(Execution).where(Execution.id == UUID(run)).values(over))
        session.commit()
        assert CANARY in client.post(f"/executions/{run}/retry", json={}).text
        answer = program(KeyScope.EXECUTIONS_RUN).post(f"/executions/{run}/retry", json={})
        assert (answer.status_code, answer.json["code"]) == (409, "confirmation_required")
        assert CANARY not in answer.text
        reader = program(KeyScope.EXECUTIONS_RUN, KeyScope.EXECUTIONS_READ)
        assert reader.post(f"/executions/{run}/retry", json={}).json["errors"]

    @pytest.mark.parametrize("code", sorted(QUOTING))
    def test_that_quote_things_are_known(self, code):
        known = {kind.code for kind in _all(ForgeError)}
        assert code in known


def _all(kind):
    return {kind}.union(*(_all(below) for below in kind.__subclasses__()))


def test_every_route_for_keys_names_the_read_scope_of_its_response(app):
    reading = {KeyScope.WORKFLOWS_READ, KeyScope.EXECUTIONS_READ, KeyScope.CREDITS_READ, KeyScope.BILLING_READ}
    ours = {route.endpoint for route in api_routes(app, lambda route: route.is_ours and route.method != "GET")}
    assert {read_by(endpoint) for endpoint in ours} <= {*reading, "signed in"}
