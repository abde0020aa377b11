"""Every command line in the documents is run, in the order of its document, on a database with what it names."""

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from devstack.servers.postgres import postgres_programs
from manage.cli import cli
from models.db import session_scope
from models.rules.executions.states import ExecutionStatus
from models.services.operations import alerts
from models.services.schedules import schedules
from models.services.stripe import stripe_events
from models.tables import EventStatus, StripeEvent
from settings import process_settings
from tests.support import factories
from tests.support.stripe.books import Books

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("docs/cli.md", "docs/operations.md", "docs/reconciliation.md", "docs/providers.md")
FAILED, QUEUED, ALERT, SCHEDULE = (
    f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "1234"
)
BACKUPS = "/var/backups/agentforge"


def documented(document: str) -> list[str]:
    """The lines of the document's shell blocks that call the command line."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if re.match(r"agentforge |python -m manage ", line)]


@pytest.fixture
def deployment(
    books: Books, committed_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """The settings of a deployment in the environment; what the documents name, by their words for it."""
    monkeypatch.setenv("PATH", str(postgres_programs()), prepend=":")
    for name, value in (
        ("AGENTFORGE_ENV", "test"),
        ("DATABASE_URL", committed_database),
        ("STRIPE_SECRET_KEY", books.stripe.secret_key),
        ("STRIPE_API_BASE", books.stripe.url),
    ):
        monkeypatch.setenv(name, value)
    process_settings.cache_clear()
    yield _write_rows() | {BACKUPS: str(tmp_path)}
    process_settings.cache_clear()


def _write_rows() -> dict[str, str]:
    """Write the rows that the documents name; returns their ids by those of the documents."""
    with session_scope() as session:
        ada = factories.user(session, email="ada@example.com")
        factories.user(session, email="bob@example.com")
        workflow = factories.workflow(session, ada)
        error = {"code": "provider_error", "message": "The provider failed."}
        failed = factories.execution(session, workflow, status=ExecutionStatus.FAILED, error=error)
        queued = factories.execution(session, workflow)
        alerts.add(session, kind="test", subject="pi_1", detail="Look.", key="test")
        event = {"event_id": "evt_1", "type": "payment_intent.succeeded", "created": datetime.now(UTC)}
        stripe_events.receive(session, **event, api_version=None, livemode=False, raw=b"{}")
        row = session.get_one(StripeEvent, "evt_1")
        row.status, row.error = EventStatus.DEAD, "It failed too often."
        (alert,) = alerts.list_open(session)
        daily = schedules.create(session, ada, workflow.id, cron="0 7 * * *", time_zone="UTC")
        return {FAILED: str(failed.id), QUEUED: str(queued.id), ALERT: str(alert.id), SCHEDULE: str(daily.id)}


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.usefixtures("sent")
def test_commands_in_documents_work(document: str, deployment: dict[str, str]):
    lines = documented(document)
    for line in lines:
        words = [deployment.get(word, word) for word in shlex.split(line, comments=True)]
        arguments = words[3:] if words[0] == "python" else words[1:]
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, f"{line}: {result.output}{result.exception!r}"
    assert lines or document != "docs/cli.md"


def test_the_page_shows_every_command():
    text = (ROOT / "docs/cli.md").read_text()
    groups = {name: list(getattr(command, "commands", {})) or [""] for name, command in cli.commands.items()}
    every = [f"agentforge {name} {inner}".strip() for name, inners in groups.items() for inner in inners]
    assert [one for one in every if one not in text] == []
