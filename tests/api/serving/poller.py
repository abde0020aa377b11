"""A user whose client polls a run, and the requests that it sends."""

from uuid import UUID

from flask import Flask
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app

from api.auth.known_callers import KnownCallers
from api.limits.concurrency import ANONYMOUS
from api.serving.environ import Environ
from api.serving.foresight import ForeseenRequest, foresee
from models.db import session_scope
from models.rules.prices.pricing import Tier
from models.services.executions import executions
from tests.api.conftest import token_of
from tests.support import factories


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


def foreseen(poller: Poller, environ: Environ) -> ForeseenRequest:
    found = expected(poller, environ)
    assert found is not None
    return found


def expected(poller: Poller, environ: Environ) -> ForeseenRequest | None:
    known: KnownCallers = poller.app.extensions["known_callers"]
    return foresee(poller.app, environ, known.find(environ) or ANONYMOUS)
