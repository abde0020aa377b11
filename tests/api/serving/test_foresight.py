"""Reads of runs that begin together: read once for all, answered as each alone, and nobody sees more than before."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from flask import Flask, Response
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app

from api.auth.known_callers import KnownCallers
from api.http.foreseen import FORESEEN
from api.http.wait import Read, Wait
from api.limits import rate_limits
from api.limits.concurrency import ANONYMOUS
from api.live import run_heads
from api.serving import foresight
from api.serving.environ import Environ
from api.serving.foresight import ForeseenRequest, foresee, read_together
from api.serving.request_run import ADOPT, RequestRun
from models.db import session_scope
from models.rules.executions.states import ExecutionStatus
from models.rules.prices.pricing import Tier
from models.services.accounts import access_keys, sessions
from models.services.executions import executions
from models.services.orchestration import submission
from models.tables import Execution, User
from tests.api.conftest import token_of
from tests.support import factories
from tests.support.database.statements import recorded_commands, recorded_statements


class Poller:
    """A user with a run in the queue, whose token the process has verified."""

    def __init__(self, app: Flask, tier: Tier = Tier.FREE) -> None:
        self.app = app
        with session_scope() as session:
            self.user = factories.user(session, tier=tier)
            self.run = executions.submit(session, self.user, factories.workflow(session, self.user).id).id
        self.token = token_of(app, self.user)
        assert self.ask().status_code == 200

    def environ(self, suffix: str = "", *, run: UUID | None = None, **headers: str) -> Environ:
        """A request for the run, or for another one."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent.setdefault("Authorization", f"Bearer {self.token}")
        return EnvironBuilder(f"/api/executions/{run or self.run}{suffix}", headers=sent).get_environ()

    def ask(self, environ: Environ | None = None) -> TestResponse:
        """The response to a request, by default one that nobody foresaw."""
        environ = environ or self.environ()
        body, status, headers = run_wsgi_app(self.app.wsgi_app, environ, buffered=True)
        return TestResponse(body, status, headers, EnvironBuilder.from_environ(environ).get_request())


@pytest.fixture
def new_poller(app: Flask, shared_database: str, redis_url: str, sent: list[object]) -> Callable[..., Poller]:
    return lambda tier=Tier.FREE: Poller(app, tier)


@pytest.fixture
def poller(new_poller: Callable[[], Poller]) -> Poller:
    return new_poller()


def foreseen(poller: Poller, environ: Environ) -> ForeseenRequest:
    found = expected(poller, environ)
    assert found is not None
    return found


def expected(poller: Poller, environ: Environ) -> ForeseenRequest | None:
    known: KnownCallers = poller.app.extensions["known_callers"]
    return foresee(poller.app, environ, known.find(environ) or ANONYMOUS)


def shown(response: TestResponse) -> tuple[int, bytes, str | None, str | None]:
    """What a client sees of the run."""
    return response.status_code, response.data, response.headers.get("ETag"), response.headers.get("Retry-After")


class TestTogether:
    def test_many_take_as_many_statements_as_one(self, new_poller):
        pollers = [new_poller() for _ in range(5)]
        environs = [poller.environ() for poller in pollers]
        requests = [foreseen(*one) for one in zip(pollers, environs, strict=True)]
        with recorded_statements() as statements, recorded_commands() as commands:
            assert read_together(requests) == [True] * 5
            assert (len(statements), len(commands)) == (3, 1)  # who asks, the runs, their places; the limits
            answers = [poller.ask(environ) for poller, environ in zip(pollers, environs, strict=True)]
            assert (len(statements), len(commands)) == (3, 1)
        assert [answer.json["id"] for answer in answers] == [str(poller.run) for poller in pollers]

    @pytest.mark.parametrize("status", [ExecutionStatus.QUEUED, ExecutionStatus.RUNNING, ExecutionStatus.CANCELLED])
    def test_the_response_is_that_of_a_request_alone(self, poller, status):
        if status is ExecutionStatus.CANCELLED:
            with session_scope() as session:
                executions.request_cancel(session, session.get_one(User, poller.user.id), poller.run)
        elif status is ExecutionStatus.RUNNING:
            change(poller, status=status, epoch=1)
        environ = poller.environ()
        read_together([foreseen(poller, environ)])
        together, alone = poller.ask(environ), poller.ask()
        assert shown(together) == shown(alone)
        assert together.json["status"] == status

    def test_a_client_that_knows_the_run_is_told_so(self, poller):
        environ = poller.environ(If_None_Match=poller.ask().headers["ETag"])
        read_together([foreseen(poller, environ)])
        assert poller.ask(environ).status_code == 304

    def test_a_client_that_knows_another_state_gets_the_run(self, poller):
        known = poller.ask().headers["ETag"]
        change(poller, last_seq=7)
        environ = poller.environ(If_None_Match=known)
        read_together([foreseen(poller, environ)])
        assert shown(poller.ask(environ)) == shown(poller.ask())

    def test_one_run_is_read_as_far_as_any_of_its_readers_needs(self, poller):
        events, whole = poller.environ("/events"), poller.environ()
        with recorded_statements() as statements:
            read_together([foreseen(poller, events), foreseen(poller, whole)])
            response = poller.ask(whole)
        assert len(statements) == 3
        assert response.json["queuePosition"] == poller.ask().json["queuePosition"]

    def test_the_session_of_a_browser_counts_too(self, poller):
        cookie = {"Cookie": f"agentforge_session={poller.token}", "Authorization": ""}
        environ = EnvironBuilder(f"/executions/{poller.run}", headers={"Cookie": cookie["Cookie"]}).get_environ()
        assert expected(poller, environ) is None  # its token was verified in a header only
        assert poller.ask(dict(environ)).status_code == 200
        assert foreseen(poller, environ).run.owner_id == poller.user.id

    def test_access_keys_are_looked_up_together_too(self, new_poller):
        pollers = [new_poller() for _ in range(3)]
        environs = [poller.environ(Authorization=f"Bearer {new_key(poller)}") for poller in pollers]
        assert [poller.ask(dict(one)).status_code for poller, one in zip(pollers, environs, strict=True)] == [200] * 3
        with recorded_statements() as statements:
            read_together([foreseen(*one) for one in zip(pollers, environs, strict=True)])
            answers = [poller.ask(environ) for poller, environ in zip(pollers, environs, strict=True)]
        assert len(statements) == 3
        assert [answer.json["id"] for answer in answers] == [str(poller.run) for poller in pollers]

    def test_a_client_that_waits_subscribes_before_its_run_is_read(self, poller):
        waiting, polling = poller.environ("?wait=1&since=0"), poller.environ()
        requests = [foreseen(poller, waiting), foreseen(poller, polling)]
        read_together(requests)
        assert [request.run in request.environ[FORESEEN] for request in requests] == [False, True]


class TestLimits:
    def test_each_request_counts_once(self, poller):
        left = int(poller.ask().headers["RateLimit-Remaining"])
        environs = [poller.environ() for _ in range(3)]
        read_together([foreseen(poller, environ) for environ in environs])
        answers = [poller.ask(environ) for environ in environs]
        assert sorted(int(one.headers["RateLimit-Remaining"]) for one in answers) == [left - 3, left - 2, left - 1]
        assert int(poller.ask().headers["RateLimit-Remaining"]) == left - 4

    def test_beyond_the_limit_a_request_is_refused_and_its_run_is_not_read(self, poller, monkeypatch):
        monkeypatch.setitem(rate_limits.BY_TIER, Tier.FREE, "2 per minute")
        environs = [poller.environ() for _ in range(3)]
        requests = [foreseen(poller, environ) for environ in environs]
        read_together(requests)
        assert [request.run in environ[FORESEEN] for request, environ in zip(requests, environs, strict=True)] == [
            True,
            True,
            False,
        ]
        assert [poller.ask(environ).status_code for environ in environs] == [200, 200, 429]

    def test_without_their_store_requests_are_counted_by_themselves(self, poller, monkeypatch):
        def fail(*_: object) -> None:
            raise ConnectionError

        monkeypatch.setattr(rate_limits.limiter, "_storage_dead", False)
        monkeypatch.setattr(rate_limits.RememberedStorage, "count_many", fail)
        environ = poller.environ()
        assert read_together([foreseen(poller, environ)]) == [True]
        assert rate_limits.limiter._storage_dead
        assert poller.ask(environ).status_code == 200


class TestSubmissions:
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


class TestOthers:
    def test_do_not_see_a_run_that_is_not_theirs(self, new_poller):
        owner, other = new_poller(), new_poller()
        environs = [owner.environ(), other.environ(run=owner.run)]
        read_together([foreseen(owner, environs[0]), foreseen(other, environs[1])])
        assert [owner.ask(environs[0]).status_code, other.ask(environs[1]).status_code] == [200, 404]

    def test_whose_session_has_ended_since_are_refused(self, new_poller):
        gone, other = new_poller(), new_poller()
        environs = [gone.environ(), other.environ()]
        requests = [foreseen(gone, environs[0]), foreseen(other, environs[1])]
        with session_scope() as session:
            sessions.end(session, gone.user.id, requests[0].credential.session_id)
        read_together(requests)
        assert [gone.ask(environs[0]).status_code, other.ask(environs[1]).status_code] == [401, 200]

    def test_whose_access_key_was_deleted_since_are_refused(self, poller):
        environ = poller.environ(Authorization=f"Bearer {new_key(poller)}")
        assert poller.ask(dict(environ)).status_code == 200
        request = foreseen(poller, environ)
        with session_scope() as session:
            (key,) = access_keys.list_owned(session, poller.user.id, limit=2)
            access_keys.delete(session, poller.user.id, key.id)
        read_together([request])
        assert poller.ask(environ).status_code == 401

    def test_whose_epoch_was_raised_since_are_refused(self, poller):
        environ = poller.environ()
        request = foreseen(poller, environ)
        with session_scope() as session:
            session.execute(update(User).where(User.id == poller.user.id).values(token_epoch=User.token_epoch + 1))
        read_together([request])
        assert poller.ask(environ).status_code == 401

    @pytest.mark.parametrize(
        ("method", "path", "token"),
        [
            ("GET", "/api/executions/{run}", "Bearer nonsense"),
            ("GET", "/api/executions/{run}", ""),
            ("GET", "/api/executions/{run}/logs", None),
            ("GET", "/api/executions/mine", None),
            ("HEAD", "/api/executions/{run}", None),
            ("POST", "/api/executions/{run}", None),
        ],
    )
    def test_are_not_foreseen(self, poller, method, path, token):
        sent = {"Authorization": f"Bearer {poller.token}" if token is None else token}
        environ = EnvironBuilder(path.format(run=poller.run), method=method, headers=sent).get_environ()
        assert expected(poller, environ) is None

    def test_an_expired_token_is_not_foreseen(self, poller, monkeypatch):
        environ = poller.environ()
        assert expected(poller, environ)
        monkeypatch.setattr("api.auth.tokens.time.time", lambda: 2**33)
        assert expected(poller, environ) is None


class TestTrouble:
    def test_a_run_that_does_not_exist_is_no_concern_of_the_others(self, new_poller):
        poller, other = new_poller(), new_poller()
        environs = [poller.environ(run=uuid4()), other.environ()]
        assert read_together([foreseen(poller, environs[0]), foreseen(other, environs[1])]) == [True, True]
        assert [poller.ask(environs[0]).status_code, other.ask(environs[1]).status_code] == [404, 200]

    def test_a_run_with_many_events_is_shown_by_itself(self, new_poller):
        large, small = new_poller(), new_poller()
        change(large, last_seq=run_heads.MANY_EVENTS + 1)
        assert read_together([foreseen(one, one.environ()) for one in (large, small)]) == [False, True]

    def test_without_the_database_each_waits_for_itself(self, poller, monkeypatch, events):
        def fail(*_: object) -> None:
            raise OperationalError("SELECT", None, Exception())

        environ = poller.environ()
        request = foreseen(poller, environ)
        with monkeypatch.context() as broken:
            broken.setattr(QueuePool, "connect", fail)
            assert read_together([request]) == [False]
        assert [event["event"] for event in events if event["log_level"] == "warning"] == ["foresight.failed"]
        assert poller.ask(environ).status_code == 200

    def test_what_was_counted_stays_counted_if_no_run_can_be_read(self, poller, monkeypatch):
        left = int(poller.ask().headers["RateLimit-Remaining"])

        def fail(*_: object) -> None:
            raise OperationalError("SELECT", None, Exception())

        monkeypatch.setattr(foresight, "read_ahead", fail)
        environ = poller.environ()
        assert read_together([foreseen(poller, environ)]) == [False]
        answer = poller.ask(environ)
        assert (answer.status_code, int(answer.headers["RateLimit-Remaining"])) == (200, left - 1)


def new_key(poller: Poller) -> str:
    with session_scope() as session:
        return access_keys.create(session, poller.user.id, name="Script")[1]


def change(poller: Poller, **values: object) -> None:
    with session_scope() as session:
        session.execute(update(Execution).where(Execution.id == poller.run).values(**values))
