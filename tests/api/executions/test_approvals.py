"""Answers of people to waiting runs, over HTTP."""

from decimal import Decimal

import pytest

from models.rules.executions.states import ExecutionStatus, NodeStatus
from tests.support import factories

ASKED = {"type": "approval", "message": "Send it?", "until": None}


@pytest.fixture
def asking(session, user):
    """A run of the user's that waits with a question."""
    workflow = factories.workflow(session, user, graph=factories.chain(factories.node("q", "approval")))
    execution = factories.execution(session, workflow, status=ExecutionStatus.WAITING, waiting_for=ASKED)
    factories.ran(session, execution, "q", status=NodeStatus.WAITING, external_ref=ASKED)
    return execution


@pytest.fixture
def broke(session, user):
    """A run of the user's that used up its credits."""
    waiting_for = {"type": "budget", "message": "Used up."}
    return factories.execution(
        session,
        factories.workflow(session, user),
        status=ExecutionStatus.WAITING,
        cap=Decimal("1.10"),
        waiting_for=waiting_for,
    )


class TestApprovals:
    def test_an_answer_is_taken_and_the_run_is_enqueued(self, client, asking, sent):
        answer = client.post(f"/api/executions/{asking.id}/approvals/q", json={"approved": True, "comment": "Go."})
        assert answer.status_code == 202
        assert answer.json["id"] == str(asking.id)
        assert [message.ids for message in sent] == [{"execution_id": str(asking.id)}]

    def test_a_second_answer_is_refused(self, client, asking, sent):
        address = f"/api/executions/{asking.id}/approvals/q"
        assert client.post(address, json={"approved": False}).status_code == 202
        refused = client.post(address, json={"approved": True})
        assert (refused.status_code, refused.json["code"]) == (409, "nothing_to_approve")

    @pytest.mark.parametrize("body", [{}, {"approved": "yes"}, {"approved": 1}, {"approved": True, "by": "me"}])
    def test_only_true_and_false_are_answers(self, client, asking, body):
        answer = client.post(f"/api/executions/{asking.id}/approvals/q", json=body)
        assert answer.status_code == 422
        assert answer.json["errors"]

    def test_a_node_that_asks_nothing_is_a_conflict(self, client, asking):
        assert client.post(f"/api/executions/{asking.id}/approvals/x", json={"approved": True}).status_code == 409


class TestResume:
    def test_more_credits_let_it_go_on(self, client, broke, sent):
        answer = client.post(f"/api/executions/{broke.id}/resume", json={"maxCredits": 5})
        assert (answer.status_code, answer.json["maxCredits"]) == (202, 5)
        assert len(sent) == 1

    def test_what_is_not_more_is_refused_by_name(self, client, broke):
        answer = client.post(f"/api/executions/{broke.id}/resume", json={"maxCredits": 1.1})
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "maxCredits")

    def test_what_the_wallet_does_not_have_is_refused(self, client, broke, sent):
        answer = client.post(f"/api/executions/{broke.id}/resume", json={"maxCredits": 100000})
        assert (answer.status_code, answer.json["code"], sent) == (402, "insufficient_credits", [])

    def test_a_run_that_waits_for_something_else_is_left_alone(self, client, asking):
        answer = client.post(f"/api/executions/{asking.id}/resume", json={"maxCredits": 5})
        assert (answer.status_code, answer.json["code"]) == (409, "nothing_to_approve")
