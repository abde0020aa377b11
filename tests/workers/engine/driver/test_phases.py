"""A driver changes phases as its table allows, handles all events, and is not known to its parts."""

import ast
import dataclasses
import itertools
from pathlib import Path
from typing import get_args

import pytest

from models.db import session_scope
from models.rules.executions.schedule import Step
from models.rules.prices.pricing import price_list
from models.services.orchestration import leases
from models.services.orchestration.leases import Lease, PastStep
from tests.support.engine.bench import Bench, transform
from workers.engine.attempts.resources import EngineResources
from workers.engine.driver.driver import ExecutionDriver
from workers.engine.driver.phases import TRANSITIONS, DriverPhase, ImpossibleTransition, next_phase
from workers.engine.values import events
from workers.engine.values.compiled_workflow import CompiledWorkflow, compile_workflow

ENGINE = Path(events.__file__).parent.parent
AT_ANY_TIME: list[events.Event] = [
    events.AnswerGiven(),
    events.CancelRequested(),
    events.DeadlinePassed(),
    events.ShutdownRequested(),
    events.OwnershipLost(),
    events.NodeFailed({"code": "expression_failed", "message": "No."}),
    events.ChildStartStored(Step("gone")),
    events.Stored(0),
]
PAIRS = list(itertools.product(DriverPhase, DriverPhase))


@pytest.mark.parametrize(("current", "following"), PAIRS)
def test_only_transitions_of_the_table_are_possible(current: DriverPhase, following: DriverPhase):
    if following in TRANSITIONS[current]:
        assert next_phase(current, following) is following
    else:
        with pytest.raises(ImpossibleTransition, match=f"{following} cannot follow {current}"):
            next_phase(current, following)


def test_every_phase_can_be_left_but_the_last_one():
    assert {phase for phase in DriverPhase if not TRANSITIONS[phase]} == {DriverPhase.LEFT}
    assert all(DriverPhase.LEFT in following for phase, following in TRANSITIONS.items() if phase != DriverPhase.LEFT)


def test_an_impossible_transition_of_a_driver_is_an_error(bench: Bench):
    driver = ExecutionDriver(*claimed(bench))
    driver._enter(DriverPhase.CLOSING)
    with pytest.raises(ImpossibleTransition):
        driver._enter(DriverPhase.RUNNING)


def test_a_driver_handles_external_events_in_every_phase(bench: Bench):
    arguments = claimed(bench)
    for phase, event in itertools.product(DriverPhase, AT_ANY_TIME):
        driver = ExecutionDriver(*arguments)
        if phase is DriverPhase.SHUTTING_DOWN:
            driver._begin_shutdown()
        driver._phase = phase
        driver._dispatch(event)
        assert driver._phase is phase or driver._phase in TRANSITIONS[phase], (phase, event)


def test_every_event_is_frozen_and_has_its_one_case_in_the_driver():
    kinds = get_args(events.Event)
    assert all(dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen for kind in kinds)
    patterns = (node for node in ast.walk(tree("driver")) if isinstance(node, ast.MatchClass))
    cases = [ast.unparse(pattern.cls).removeprefix("events.") for pattern in patterns]
    assert sorted(cases) == sorted(kind.__name__ for kind in kinds)


def test_nothing_below_the_steps_knows_them_or_their_driver():
    modules = {path.stem: imported(path.stem) for path in ENGINE.rglob("*.py") if path.stem != "__init__"}
    known_to = {name: {module for module in modules if name in modules[module] - {module}} for name in modules}
    assert known_to["driver"] == {"runtime"}
    assert known_to["steps"] == {"driver"}
    assert known_to["open_steps"] == {"steps"}


def imported(module: str) -> set[str]:
    """The modules of the engine that one of them imports."""
    froms = [node for node in ast.walk(tree(module)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in froms if (node.module or "").startswith("workers.engine")]
    return {node.module.rpartition(".")[2] for node in ours} | {alias.name for node in ours for alias in node.names}


def tree(module: str) -> ast.Module:
    (path,) = (path for path in ENGINE.rglob(f"{module}.py"))
    return ast.parse(path.read_text())


def claimed(bench: Bench) -> tuple[Lease, CompiledWorkflow, dict[Step, PastStep], EngineResources]:
    """The arguments of a driver for a new run."""
    execution_id = bench.submit([transform("a", "1")])
    with session_scope() as session:
        lease = leases.claim(session, execution_id, owner="worker", seconds=300)
        document = leases.graph(session, lease.version_id)
    return lease, compile_workflow(document, price_list(lease.price_list)), {}, bench.runtime._resources()
