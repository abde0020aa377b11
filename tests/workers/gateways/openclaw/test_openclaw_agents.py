"""Which agents the gateway has, which of them nodes may name, and what becomes of a turn of another one."""

from collections.abc import Iterator

import pytest

from simulators.openclaw import Simulator, running_simulator
from tests.support.engine.openclaw_case import QUICK, Call, http_driver, new_ref, settings_for, socket_driver
from workers.gateways.base import CallFailed
from workers.gateways.openclaw import OpenClaw, make_openclaw, offered_agents
from workers.gateways.openclaw.http import HttpOpenClaw
from workers.gateways.openclaw.ws import SocketOpenClaw


@pytest.fixture(scope="module")
def gateway() -> Iterator[Simulator]:
    with running_simulator(delay=0.02, agents=("flow", "research", "main")) as simulator:
        yield simulator


@pytest.fixture(params=[socket_driver, http_driver], ids=["socket", "http"])
def driver(request: pytest.FixtureRequest, gateway: Simulator) -> Iterator[OpenClaw]:
    """Users may name an agent that this gateway has not."""
    driver = request.param(gateway, agents=("research", "ghost"))
    yield driver
    driver.close()


def test_lists_all_that_there_are(driver: OpenClaw) -> None:
    assert driver.agents() - {"default"} == {"flow", "research", "main"}  # which HTTP calls one of them too


def test_offers_those_of_the_settings_that_there_are(driver: OpenClaw) -> None:
    settings = settings_for("ws://x", agent_id="flow", agents=("Research", "ghost", "flow", "a b"))
    assert offered_agents(settings, driver.agents()) == ("flow", "Research")
    assert offered_agents(settings, frozenset({"main"})) == ()


@pytest.mark.parametrize("agent", ["ghost", "main", "x" * 500])
def test_a_turn_of_a_missing_or_unoffered_agent_fails_and_names_it(driver: OpenClaw, agent: str) -> None:
    call = Call(driver, "Hi", ref=new_ref(agent_id=agent), agent_id=agent).run()
    assert call.failure
    assert (call.code, call.failure.retryable) == ("openclaw_agent_not_allowed", False)
    assert agent[:200] in call.failure.detail
    assert len(call.failure.detail) < 500


@pytest.mark.parametrize("kind", [SocketOpenClaw, HttpOpenClaw])
def test_a_gateway_that_is_away_has_no_list(kind: type) -> None:
    driver = kind(settings_for("http://127.0.0.1:9"), QUICK)
    with pytest.raises(CallFailed) as failure:
        driver.agents()
    assert failure.value.code == "openclaw_unreachable"
    driver.close()


@pytest.mark.parametrize("name", ["ws", "http"])
def test_a_wrong_token_is_tried_once(name: str) -> None:
    with running_simulator(lockout=True) as simulator:
        driver = make_openclaw(settings_for(simulator.url, "wrong", driver=name))
        for _ in range(3):
            with pytest.raises(CallFailed) as failure:
                driver.agents()
            assert failure.value.code == "openclaw_wrong_token"
        assert simulator.wrong_tokens == 1
        driver.close()
