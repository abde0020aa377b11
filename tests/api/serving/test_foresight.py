"""Reads of runs that begin together: read once for all, answered as each alone, and nobody sees more than before."""

from uuid import uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool
from werkzeug.test import EnvironBuilder, TestResponse

from api.http.foreseen import FORESEEN
from api.limits import rate_limits
from api.live import run_heads
from api.serving import foresight
from api.serving.foresight import read_together
from models.db import session_scope
from models.rules.executions.states import ExecutionStatus
from models.rules.prices.pricing import Tier
from models.services.accounts import access_keys, sessions
from models.services.executions import executions
from models.tables import Execution, User
from tests.api.serving.poller import Poller, expected, foreseen
from tests.support.database.statements import recorded_commands, recorded_statements


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
