"""The gateway and a provider misbehave, and workers die in the middle of turns: no turn is paid for twice in silence.

Every fault of theirs one by one is in `tests/gateways`; these go through a worker process.
"""

import signal
from decimal import Decimal
from uuid import UUID

import pytest

from models.db import session_scope
from models.rules.pricing import Provider
from models.services import provider_keys
from models.vault import Vault
from settings import DEVELOPMENT_KEY
from tests import factories
from tests.faults.programs import eventually, measured
from tests.faults.world import World

pytestmark = pytest.mark.faults


def agent(prompt: str, **rest) -> dict:
    return factories.node("a", "ai_agent", config={"prompt": prompt}, **rest)


def paid(world: World, execution_id: UUID) -> int:
    """Turns that a real gateway would have sent to a model for this run."""
    return sum(str(execution_id) in call["sessionKey"] for call in world.openclaw.calls)


class TestOpenClaw:
    @pytest.mark.parametrize("wish", ["drop", "drop-early", "refuse", "slow-accept=2"])
    def test_what_comes_before_or_beside_a_turn_costs_one_turn(self, world: World, wish: str):
        world.worker(hooked=False).ready()
        run = world.submit([agent(f"[[sim:{wish}]] [[sim:delay=1]] Count these words of {wish}.")])
        world.finish(run)
        assert world.run(run)["status"] == "success"
        assert (paid(world, run), world.charged(run)) == (1, Decimal("2.10"))

    def test_a_gateway_that_restarts_in_mid_turn_never_makes_two_in_silence(self, world: World):
        world.worker(hooked=False).ready()
        run = world.submit(
            [agent("[[sim:crash]] [[sim:delay=2]] Count what a crash leaves.", retry={"maxAttempts": 3})]
        )
        world.finish(run, seconds=120)
        attempts = world.sql(
            "SELECT count(*) FROM execution_events WHERE execution_id = %s AND type = 'node.retrying'", run
        )
        assert world.run(run)["status"] == "success"
        assert world.charged(run) == Decimal("2.10")  # one turn, however many there were
        assert paid(world, run) <= 1 + attempts[0][0] + 1
        measured(f"{paid(world, run)} turns, {attempts[0][0]} retries told")

    def test_one_that_hangs_fails_the_node_at_its_time_limit_for_nothing(self, world: World):
        world.worker(hooked=False).ready()
        run = world.submit([agent("[[sim:hang]] Say nothing.", timeout=3)])
        world.finish(run)
        assert (world.run(run)["status"], world.charged(run)) == ("failed", 0)

    def test_over_its_cap_turns_stand_in_line(self, world: World):
        world.worker(hooked=False, threads=32).ready()
        runs = world.submit_many([agent("[[sim:delay=0.5]] Count.")], number=20)
        world.finish(*runs)
        assert {world.status(run) for run in runs} == {"success"}
        assert {paid(world, run) for run in runs} == {1}

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    @pytest.mark.parametrize("on_crash", ["retry", "fail"])
    def test_a_turn_whose_worker_is_gone_is_found_again(self, world: World, number: int, on_crash: str):
        first = world.worker(hooked=False).ready()
        run = world.submit([agent(f"[[sim:delay=6]] Count {number} {on_crash}.", onCrash=on_crash)])
        eventually(lambda: paid(world, run) == 1)
        first.signal(number).wait()
        world.worker(hooked=False).ready()
        world.finish(run)
        assert world.run(run)["status"] == "success"
        assert (paid(world, run), world.charged(run)) == (1, Decimal("2.10"))


def test_a_provider_that_fails_costs_nothing_and_one_that_recovers_once(world: World):
    world.worker(hooked=False).ready()
    owner = world.user()
    with session_scope() as session:
        provider_keys.put(session, owner, Provider.OPENAI, "sk-" + "x" * 40, vault=Vault(DEVELOPMENT_KEY))
    codes = {}
    for wish in ("429*1", "500*1", "half*1", "badjson", "401"):
        config = {"provider": "openai", "model": "gpt-4o-mini", "prompt": f"[[sim:{wish}]] Count {wish}."}
        codes[wish] = world.submit([factories.node("a", "ai_agent", config=config)], owner=owner)
    world.finish(*codes.values())
    came = {wish: (world.status(run), world.charged(run)) for wish, run in codes.items()}
    assert came["401"] == ("failed", 0)
    assert came["429*1"] == came["500*1"] == ("success", Decimal("3.10"))
    assert {status: charged for status, charged in came.values() if status == "failed"} in ({"failed": 0}, {})
