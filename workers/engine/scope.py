"""What a node's expressions see. Built for each step, at a cost that does not grow with the number of nodes."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.rules.schedule import Schedule, Step
from models.services.leases import Lease

Json = Any


class NodesView(Mapping[str, Json]):
    """`nodes` as one step sees it: looked up when asked for, so unreferenced outputs cost nothing."""

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


def execution_facts(lease: Lease) -> dict[str, Json]:
    """`execution`: fixed facts only, so that a resumed run computes what the first one did."""
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
