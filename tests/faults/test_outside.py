"""The gateway and a provider misbehave, and workers die in the middle of turns: no turn is paid for twice in silence.

Every fault of theirs one by one is in `tests/workers/gateways`; these go through a worker process.
"""

import signal
from decimal import Decimal
from uuid import UUID

import pytest

from models.db import session_scope
from models.rules.prices.pricing import Provider
from models.services.accounts import provider_keys
from models.vault import Vault
from settings import DEVELOPMENT_KEY
from tests.support import factories
from tests.support.faults.programs import eventually, measured
from tests.support.faults.world import World

pytestmark = pytest.mark.faults


def agent(prompt: str, **rest) -> dict:
    return factories.node("a", "ai_agent", config={"prompt": prompt}, **rest)


def paid(world: World, execution_id: UUID) -> int:
    """Turns that a real gateway would have sent to a model for this run."""
    return sum(str(execution_id) in call["sessionKey"] for call in world.openclaw.calls)


def retries(world: World, execution_id: UUID) -> int:
    """Further attempts that the owner of this run was told of."""
    counted = "SELECT count(*) FROM execution_events WHERE execution_id = %s AND type = 'node.retrying'"
    return world.sql(counted, execution_id)[0][0]


class TestOpenClaw:
    @pytest.mark.parametrize("requested", ["drop", "drop-early", "refuse", "slow-accept=2"])
    def test_what_comes_before_or_beside_a_turn_costs_one_turn(self, world: World, requested: str):
        world.worker(hooked=False).ready()
        run = world.submit([agent(f"[[sim:{requested}]] [[sim:delay=1]] Count these words of {requested}.")])
        world.finish(run)
        assert world.run(run)["status"] == "success"
        assert (paid(world, run), world.charged(run)) == (1, Decimal("2.10"))

    def test_a_gateway_that_restarts_in_mid_turn_never_makes_two_in_silence(self, world: World):
        world.worker(hooked=False).ready()
        run = world.submit(
            [agent("[[sim:crash]] [[sim:delay=2]] Count what a crash leaves.", retry={"maxAttempts": 3})]
        )
        world.finish(run)
        assert world.run(run)["status"] == "success"
        assert world.charged(run) == Decimal("2.10")  # one turn, however many there were
        assert paid(world, run) <= 1 + retries(world, run) + 1
        measured(f"{paid(world, run)} turns, {retries(world, run)} retries told")

    def test_one_that_hangs_fails_the_node_at_its_limit_and_is_paid_once(self, world: World):
        world.worker(hooked=False).ready()
        run = world.submit([agent("[[sim:hang]] Say nothing.", timeout=3)])
        world.finish(run)
        assert (world.status(run), world.charged(run)) == ("failed", Decimal("2.10"))
        assert paid(world, run) == 1 + retries(world, run)

    def test_over_its_cap_turns_wait_in_the_queue(self, world: World):
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


def test_a_call_that_a_provider_fails_is_free_and_a_retry_is_paid_once(world: World):
    world.worker(hooked=False).ready()
    owner = world.user()
    with session_scope() as session:
        provider_keys.put(session, owner, Provider.OPENAI, "sk-" + "x" * 40, vault=Vault(DEVELOPMENT_KEY))
    fee, with_the_call = Decimal("1.00"), Decimal("3.10")
    expected = {
        "429*1": ("success", with_the_call),
        "500*1": ("success", with_the_call),
        "half*1": ("success", with_the_call),
        "badjson": ("failed", fee),
        "401": ("failed", with_the_call),  # its own key is refused, which is not the provider's fault
    }
    runs = {}
    for requested in expected:
        config = {"provider": "openai", "model": "gpt-4o-mini", "prompt": f"[[sim:{requested}]] Count {requested}."}
        runs[requested] = world.submit([factories.node("a", "ai_agent", config=config)], owner=owner)
    world.finish(*runs.values())
    assert {requested: (world.status(run), world.charged(run)) for requested, run in runs.items()} == expected
