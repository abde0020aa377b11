"""Submissions that begin together: authenticated and counted for all at once, and each goes on as if it were alone."""

from uuid import UUID

from flask import Response
from werkzeug.test import EnvironBuilder

from api.http.wait import Read, Wait
from api.serving import foresight
from api.serving.environ import Environ
from api.serving.foresight import read_together
from api.serving.request_run import ADOPT, RequestRun
from models.db import session_scope
from models.services.orchestration import submission
from models.tables import Execution
from tests.api.serving.poller import Poller, expected, foreseen
from tests.support.database.statements import recorded_commands, recorded_statements


class TestSubmissionsTogether:
    def submit(self, poller: Poller, **headers: str) -> Environ:
        """A request that submits a run of the workflow of the one that the poller has."""
        with session_scope() as session:
            workflow = session.get_one(Execution, poller.run).workflow_id
        sent = {"Authorization": f"Bearer {poller.token}", **headers}
        return EnvironBuilder(f"/workflows/{workflow}/execute", method="POST", headers=sent, json={}).get_environ()

    def test_are_authenticated_and_counted_together_with_reads(self, new_poller):
        submitting, reading = new_poller(), new_poller()
        poller_left = int(submitting.ask().headers["RateLimit-Remaining"])
        environs = [self.submit(submitting), reading.environ()]
        with recorded_statements() as statements, recorded_commands() as commands:
            read_together([foreseen(submitting, environs[0]), foreseen(reading, environs[1])])
        assert (len(statements), len(commands)) == (3, 1)
        accepted = submitting.ask(environs[0])
        assert (accepted.status_code, accepted.headers["RateLimit-Remaining"]) == (202, str(poller_left - 1))
        assert reading.ask(environs[1]).status_code == 200

    def test_send_the_message_of_their_run_in_their_own_trace(self, poller, sent):
        sent.clear()
        environ = self.submit(poller, **{"X-Request-ID": "mine"})
        read_together([foreseen(poller, environ)])
        made = poller.ask(environ).json["id"]
        (message,) = sent
        assert message.ids["execution_id"] == made
        with session_scope() as session:
            assert session.get_one(Execution, UUID(made)).request_id == "mine"

    def test_that_take_a_closer_look_leave_the_thread_of_their_batch(self, poller, monkeypatch):
        runs: list[RequestRun] = []
        environ = self.submit(poller) | {ADOPT: runs.append}
        monkeypatch.setattr(submission, "insert_if_ready", lambda *_, **__: None)
        poller.app.wsgi_app(environ, lambda *_: None)
        (run,) = runs
        assert run.step() is run
        assert isinstance(run.pause, Read)
        assert run.step(run.pause.block()) is run
        assert isinstance(run.pause, Wait)
        response = run.step(run.pause.block())
        assert isinstance(response, Response)
        assert response.status_code == 202

    def test_with_a_key_or_a_large_body_are_not_foreseen(self, poller):
        assert expected(poller, self.submit(poller))
        assert expected(poller, self.submit(poller, **{"Idempotency-Key": "once"})) is None
        large = self.submit(poller) | {"CONTENT_LENGTH": str(foresight.MAX_BYTES + 1)}
        assert expected(poller, large) is None
