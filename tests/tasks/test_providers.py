"""Workers ask OpenClaw for its agents now and then, for those who judge graphs."""

from types import SimpleNamespace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from models.services.workflows import openclaw_agents
from simulators.openclaw import running_simulator
from tasks import providers
from tests.support.engine.openclaw_case import QUICK, settings_for, socket_driver
from workers.gateways.openclaw.ws import SocketOpenClaw


def ask(monkeypatch: pytest.MonkeyPatch, driver: SocketOpenClaw) -> None:
    monkeypatch.setattr(providers, "gateways", lambda: SimpleNamespace(openclaw=driver))
    providers.list_agents()
    driver.close()


def test_what_openclaw_has_and_the_settings_offer_is_kept(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    assert openclaw_agents.offered(session) is None
    with running_simulator(agents=("flow", "main")) as simulator:
        ask(monkeypatch, socket_driver(simulator))
    assert openclaw_agents.offered(session) == ["flow"]
    with running_simulator(agents=("main",)) as simulator:
        ask(monkeypatch, socket_driver(simulator))
    assert openclaw_agents.offered(session) == []


def test_while_openclaw_is_away_the_last_list_grows_old(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    openclaw_agents.keep(session, ["flow"])
    session.execute(text("UPDATE openclaw_agents SET listed_at = now() - interval '14 minutes'"))
    with capture_logs() as logs:
        ask(monkeypatch, SocketOpenClaw(settings_for("ws://127.0.0.1:9"), QUICK))
    assert [line["code"] for line in logs if line["event"] == "openclaw.agents_not_listed"] == ["openclaw_unreachable"]
    assert openclaw_agents.offered(session) == ["flow"]
    session.execute(text("UPDATE openclaw_agents SET listed_at = listed_at - interval '2 minutes'"))
    assert openclaw_agents.offered(session) is None
