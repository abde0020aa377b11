"""The command line in this process, on the database of the test."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy.orm import Session

from manage.cli import cli
from models.services.operations import audit
from models.tables import AuditEntry
from tasks.queue import TaskMessage
from tests.support.stripe.books import books, stripe, stripe_server

__all__ = ["books", "stripe", "stripe_server"]


@dataclass(frozen=True)
class Answer:
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document that it printed."""
        return json.loads(self.out)


Manage = Callable[..., Answer]


@pytest.fixture
def manage(session: Session, sent: list[TaskMessage]) -> Manage:
    """Run a command as an operator would; `said` is what the operator types. The test's rows are flushed first."""

    def run(*arguments: object, said: str = "") -> Answer:
        session.commit()
        result = CliRunner().invoke(cli, [str(one) for one in arguments], input=said)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        session.expire_all()
        return Answer(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def last_entry(session: Session) -> Callable[..., AuditEntry]:
    """The newest entry of the audit log, of an action if one is named: all of a test have the same time."""
    return lambda action=None: audit.entries(session, action=action, limit=1)[0]
