"""`subworkflow`: runs another workflow of the owner's, as an execution of its own, and returns its output."""

from uuid import UUID

from models.rules.effects import RunWorkflow
from models.rules.kinds import Config, Field, NodeCall, NodeKind


def begin(call: NodeCall) -> RunWorkflow:
    """Which workflow, and what it is given: `input`, or the data that comes in."""
    return RunWorkflow(UUID(call.config["workflowId"]), call.config.get("input", call.incoming))


def workflow_of(config: Config) -> UUID | None:
    """The workflow that a config names; None when it names none."""
    try:
        return UUID(str(config.get("workflowId")))
    except ValueError:
        return None


def _findings(config: Config) -> tuple[tuple[str, str, str], ...]:
    if config.get("workflowId") in (None, "") or workflow_of(config):
        return ()
    # What may run and what it may cost at most must be known before anything runs.
    return (("error", "workflowId", "`workflowId` must be the id of one of your workflows, written out."),)


KIND = NodeKind(
    type="subworkflow",
    fields=(Field("workflowId", "text", required=True), Field("input", "value")),
    begin=begin,
    findings=_findings,
    pure=False,
)
