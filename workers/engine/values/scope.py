"""Variables of a node's expressions, built for each step at a cost independent of the number of nodes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from models.rules.executions.schedule import Schedule, Step
from models.rules.graph.kinds import NodeCall
from models.rules.values.scope import FuelMeter, Scope
from models.serialization import Json
from models.services.orchestration.leases import Lease
from workers.engine.values.compiled_workflow import CompiledWorkflow


class NodesView(Mapping[str, Json]):
    """`nodes` as one step sees it: looked up on access, so unreferenced outputs cost nothing."""

    def __init__(self, schedule: Schedule, step: Step) -> None:
        self._schedule = schedule
        self._step = step

    def __getitem__(self, node_id: str) -> Json:
        if node_id not in self._schedule.plan.graph.nodes:
            raise KeyError(node_id)
        return {"output": self._schedule.outputs(self._step, (node_id,))[node_id]}

    def __iter__(self) -> Iterator[str]:
        return iter(self._schedule.plan.graph.nodes)

    def __len__(self) -> int:
        return len(self._schedule.plan.graph.nodes)


class ScopeBuilder:
    """Builds the variables of a run's steps; `fuel` counts the cost of their expressions."""

    def __init__(self, lease: Lease, workflow: CompiledWorkflow, schedule: Schedule, fuel: FuelMeter) -> None:
        self._workflow = workflow
        self._schedule = schedule
        self._input = lease.input
        self._facts = execution_facts(lease)
        self._run = str(lease.execution_id)
        self._fuel = fuel

    def scope_for(self, step: Step, moment: datetime) -> Scope:
        """The variables of a step's expressions, whose clock shows `moment`, the recorded start of the step.

        So a resumed run that computes the step again gets the same result.
        """
        data = incoming(self._schedule, step, self._schedule.incoming(step), self._input)
        variables = scope(self._schedule, step, self._input, self._facts, data)
        return Scope(variables, moment, f"{self._run} {step.node_id} {step.path}", self._fuel)

    def iteration_scope(self, loop: Step, index: int, item: Json, moment: datetime) -> Scope:
        """The variables of a loop's condition before iteration `index`."""
        seen = self.scope_for(loop, moment)
        return replace(seen.plus(index=index, item=item), seed=f"{seen.seed} {index}")

    def resolve_call(self, step: Step, moment: datetime) -> NodeCall:
        """The call of a step with its config resolved; raises `ExpressionFailed`."""
        seen, arrived = self.scope_for(step, moment), self._schedule.incoming(step)
        config = self._workflow.configs[step.node_id].resolve(seen)
        node = self._workflow.graph.nodes[step.node_id]
        return NodeCall(node, config, seen, seen.variables["data"], arrived or {})


def execution_facts(lease: Lease) -> dict[str, Json]:
    """`execution`: fixed facts only, so that a resumed run computes the same results."""
    return {
        "id": str(lease.execution_id),
        "workflowId": str(lease.workflow_id),
        "workflowName": lease.workflow_name,
        "startedAt": lease.started_at.isoformat().replace("+00:00", "Z"),
    }


def incoming(schedule: Schedule, step: Step, arrived: Mapping[str, Json] | None, run_input: Json) -> Json:
    """The value that flows into `step`: one output, several by node id, an iteration's item, or the run's input."""
    if arrived is not None:
        return next(iter(arrived.values())) if len(arrived) == 1 else arrived
    iteration = schedule.iteration(step)
    return iteration[1] if iteration else run_input


def scope(schedule: Schedule, step: Step, run_input: Json, facts: Mapping[str, Json], data: Json) -> dict[str, Json]:
    """The variables of an expression."""
    index, item = schedule.iteration(step) or (None, None)
    return {
        "input": run_input,
        "nodes": NodesView(schedule, step),
        "item": item,
        "index": index,
        "execution": facts,
        "data": data,
    }
